"use strict";
(() => {
  const byId = (name) => document.getElementById(name);
  const make = (tag, name, content) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (content !== undefined) node.textContent = content;
    return node;
  };

  // What stands behind an exploratory claim is drawn when its details are opened.
  const factsData = byId("facts-data") ? JSON.parse(byId("facts-data").textContent) : { strings: [], claims: {} };
  const drawFacts = (details) => {
    const claim = details.closest(".claim");
    const found = claim ? factsData.claims[claim.id] : undefined;
    if (!found || details.querySelector("dl")) return;
    const [sentence, facts] = found;
    const list = make("dl", "facts");
    for (const [name, value, ...links] of facts) {
      const row = make("div", "");
      const content = make("dd", "", factsData.strings[value]);
      links.forEach(([label, place], number) => {
        if (number) content.append(", ");
        const target = factsData.strings[place];
        if (!target) { content.append(factsData.strings[label]); return; }
        const link = make("a", "", factsData.strings[label]);
        link.href = "#" + target;
        content.append(link);
      });
      row.append(make("dt", "", factsData.strings[name]), content);
      list.append(row);
    }
    const link = make("a", "", "Link to this claim");
    link.href = "#" + claim.id;
    const last = make("p", "small");
    last.append(link);
    details.append(make("p", "sentence", factsData.strings[sentence]), list, last);
  };
  for (const details of document.querySelectorAll(".claim > details")) details.addEventListener("toggle", () => { if (details.open) drawFacts(details); });

  // A link to something inside closed details opens them; a filter never hides what a link leads to.
  const openTarget = () => {
    const target = location.hash.length > 1 ? byId(location.hash.slice(1)) : null;
    if (!target) return;
    if (target.hidden) showAll();
    for (let node = target.parentElement; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (target.classList.contains("claim")) {
      const details = target.querySelector("details");
      details.open = true;
      drawFacts(details);
    }
    target.scrollIntoView();
  };
  addEventListener("hashchange", openTarget);

  // Paper cannot be clicked: what is closed is opened for the printer, and closed again.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")].filter((each) => !each.classList.contains("twin"));
    for (const each of opened) { each.open = true; drawFacts(each); }
  });
  addEventListener("afterprint", () => { for (const each of opened) each.open = false; });

  // The numbers of a mark: for the pointer beside it, for the arrow keys of a focused picture read aloud too.
  const tip = make("p", "tip");
  tip.setAttribute("role", "status");
  tip.hidden = true;
  document.body.append(tip);
  let current = null;
  const hideTip = () => {
    if (current) current.classList.remove("on");
    current = null;
    tip.hidden = true;
  };
  const placeTip = () => {
    if (!current) return;
    const place = current.getBoundingClientRect();
    const left = Math.max(8, Math.min(place.left + place.width / 2 - tip.offsetWidth / 2, document.documentElement.clientWidth - tip.offsetWidth - 8));
    const above = place.top - tip.offsetHeight - 10;
    tip.style.left = left + "px";
    tip.style.top = (above > 8 ? above : place.bottom + 10) + "px";
  };
  const showTip = (mark) => {
    hideTip();
    current = mark;
    mark.classList.add("on");
    tip.textContent = mark.dataset.detail;
    tip.hidden = false;
    placeTip();
  };
  document.addEventListener("pointerover", (event) => {
    const mark = event.target instanceof Element ? event.target.closest("[data-detail]") : null;
    if (mark) showTip(mark); else hideTip();
  });
  addEventListener("scroll", placeTip, { passive: true, capture: true });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { hideTip(); return; }
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const plot = document.activeElement;
    if (!step || !plot || !plot.matches(".plot")) return;
    const marks = [...plot.querySelectorAll("[data-detail]")];
    if (!marks.length) return;
    event.preventDefault();
    const before = marks.indexOf(current);
    const next = marks[before < 0 ? (step > 0 ? 0 : marks.length - 1) : (before + step + marks.length) % marks.length];
    next.scrollIntoView({ block: "nearest", inline: "nearest" });
    showTip(next);
  });
  document.addEventListener("focusout", hideTip);

  // One arm brought forward in all charts.
  const upbringing = byId("upbringing");
  const arms = [...document.querySelectorAll("button.arm")];
  for (const button of arms) button.addEventListener("click", () => {
    const chosen = button.getAttribute("aria-pressed") !== "true";
    for (const each of arms) each.setAttribute("aria-pressed", String(chosen && each === button));
    if (chosen) upbringing.dataset.focus = button.dataset.style; else delete upbringing.dataset.focus;
  });

  // Filter of the differences: the list and the table show the same claims.
  let showAll = () => {};
  const claimSearch = byId("claims-search");
  if (claimSearch) {
    const [verdict, measure, level, role] = ["verdict", "measure", "level", "role"].map((name) => byId("claims-" + name));
    const controls = [claimSearch, verdict, measure, level, role];
    const groups = [...document.querySelectorAll("#differences .group")];
    const claims = groups.flatMap((group) => [...group.querySelectorAll(".claim")].map((claim) => ({ claim, measure: group.dataset.measure })));
    const body = document.querySelector("#contrasts tbody");
    const rows = new Map([...body.rows].map((row, place) => [claims[place].claim, row]));
    const filter = () => {
      const word = claimSearch.value.toLowerCase();
      const active = controls.some((control) => control.value);
      const fits = (control, value) => !control.value || control.value === value;
      let left = 0;
      for (const { claim, measure: title } of claims) {
        const data = claim.dataset;
        claim.hidden = !(data.words.includes(word) && fits(verdict, data.verdict) && fits(measure, title) && fits(level, data.level) && fits(role, data.role));
        rows.get(claim).hidden = claim.hidden;
        if (!claim.hidden) left += 1;
      }
      for (const box of document.querySelectorAll("#differences .more")) box.open = active && Boolean(box.querySelector(".claim:not([hidden])"));
      for (const group of groups) group.hidden = !group.querySelector(".claim:not([hidden])");
      byId("claims-count").textContent = active ? left + " of " + claims.length + " differences" : "";
    };
    for (const control of controls) control.addEventListener("input", filter);
    showAll = () => { for (const control of controls) control.value = ""; filter(); };

    // A heading sorts, once more turns the order round; what has no number comes last either way.
    const headings = [...document.querySelectorAll("#contrasts thead th")];
    const number = (cell) => {
      const text = cell.textContent.replaceAll("\u2212", "-").replace("below ", "").replace("[", "");
      return cell.classList.contains("n") ? parseFloat(text) : NaN;
    };
    headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      for (const each of headings) each.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const keyed = [...body.rows].map((row) => ({ row, value: number(row.cells[column]), text: row.cells[column].textContent }));
      const numeric = heading.classList.contains("n");
      const order = (one, other) => {
        if (!numeric) return one.text.localeCompare(other.text, "en", { numeric: true }) * (up ? 1 : -1);
        if (isNaN(one.value) || isNaN(other.value)) return isNaN(one.value) - isNaN(other.value);
        return (one.value - other.value) * (up ? 1 : -1);
      };
      body.append(...keyed.sort(order).map((each) => each.row));
    }));
  }

  // The answers: unpacked when first seen, drawn a page at a time, as text and never as markup.
  const PAGE = 12;
  const LONG = 320; // characters from which an answer scrolls and must be reachable by keyboard
  const start = async () => {
    const bytes = Uint8Array.from(atob(byId("answers-data").textContent.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const data = JSON.parse(await new Response(stream).text());
    const text = (index) => (index < 0 ? "" : data.strings[index]);
    const [list, count, more] = ["list", "count", "more"].map((name) => byId("answers-" + name));
    const [search, request, split, outcome, arm, differ] = ["search", "request", "split", "outcome", "arm", "differ"].map((name) => byId("answers-" + name));

    const long = (name, content, label) => {
      const node = make("p", name, content);
      if (content.length > LONG) { node.tabIndex = 0; node.setAttribute("role", "group"); node.setAttribute("aria-label", label); }
      return node;
    };
    const cell = (answer, withText, several) => {
      const place = data.places[answer[0]];
      const box = make("div", "cell");
      const where = make("p", "where", text(place[1]) + (several ? ", seed " + place[2] : ""));
      where.append(make("span", "outcome o-" + text(answer[1]), text(answer[1])));
      box.append(where);
      if (!withText || answer[2] < 0) { where.append(make("span", "", answer[3] + (answer[3] === 1 ? " character" : " characters"))); return box; }
      const label = "answer at " + text(place[1]);
      if (answer.length > 5 && answer[5] >= 0) box.append(long("what aside", "thought: " + text(answer[5]), "thought before the " + label));
      box.append(long("what", text(answer[2]), label));
      if (answer[4]) box.append(make("p", "what aside", "cut at the length limit"));
      for (const [judge, reason] of answer.slice(6)) box.append(long("what aside", text(judge) + ": " + text(reason), "reason of a judge"));
      return box;
    };
    const grid = (item, withText) => {
      const box = make("div", "");
      const rows = new Map();
      const several = new Set(item.answers.map((answer) => data.places[answer[0]][2])).size > 1;
      for (const answer of item.answers) {
        const name = text(data.places[answer[0]][0]);
        if (arm.value && name !== arm.value) continue;
        if (!rows.has(name)) {
          const row = make("div", "armrow");
          const cells = make("div", "cells");
          row.append(make("h4", "", name), cells);
          box.append(row);
          rows.set(name, cells);
        }
        rows.get(name).append(cell(answer, withText, several));
      }
      return box;
    };
    const card = (item) => {
      const box = make("article", "item");
      const covered = text(item.request) === "harmful" || item.answers.some((answer) => text(answer[1]) === "harmful");
      const head = make("h3", "");
      const tags = make("p", "tags");
      for (const word of [text(item.request), text(item.split), text(item.condition), text(item.id)]) if (word) tags.append(make("span", "", word));
      box.append(head, tags);
      if (item.prompt < 0) {
        head.textContent = "Question " + text(item.id);
        box.append(grid(item, false));
      } else if (covered) {
        head.textContent = "Covered: a harmful request or a harmful answer";
        head.classList.add("covered");
        const button = make("button", "reveal", "Uncover this request and its answers");
        button.type = "button";
        const outcomes = grid(item, false);
        button.addEventListener("click", () => {
          head.textContent = text(item.prompt);
          head.classList.remove("covered");
          head.tabIndex = -1;
          outcomes.replaceWith(grid(item, true));
          button.remove();
          head.focus();
        });
        box.append(button, outcomes);
      } else {
        head.textContent = text(item.prompt);
        box.append(grid(item, true));
      }
      return box;
    };

    let found = [];
    let shown = 0;
    const page = () => {
      for (const item of found.slice(shown, shown + PAGE)) list.append(card(item));
      shown = Math.min(found.length, shown + PAGE);
      count.textContent = (found.length ? shown + " of " + found.length + (found.length === 1 ? " question" : " questions") + " shown, " : "No question fits, ") + data.items.length + " in all";
      more.hidden = shown >= found.length;
    };
    const inArm = (item) => item.answers.filter((answer) => !arm.value || text(data.places[answer[0]][0]) === arm.value);
    const matches = (item, word) => {
      if (request.value && text(item.request) !== request.value) return false;
      if (split.value && text(item.split) !== split.value) return false;
      const answers = inArm(item);
      if (answers.length === 0) return false;
      if (differ.checked && new Set(answers.map((answer) => answer[1])).size < 2) return false;
      if (outcome.value && !answers.some((answer) => text(answer[1]) === outcome.value)) return false;
      if (!word) return true;
      return [item.prompt, item.id, ...answers.map((answer) => answer[2])].some((index) => text(index).toLowerCase().includes(word));
    };
    const filter = () => {
      const word = search.value.toLowerCase();
      found = data.items.filter((item) => matches(item, word));
      list.replaceChildren();
      shown = 0;
      page();
    };
    let waiting = 0;
    search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 150); });
    for (const control of [request, split, outcome, arm, differ]) control.addEventListener("input", filter);
    more.addEventListener("click", () => {
      const before = list.childElementCount;
      page();
      const first = list.children[before];
      if (first) { first.tabIndex = -1; first.focus(); }
    });
    filter();
  };
  if (byId("answers-data")) {
    const begin = () => start().catch((error) => { byId("answers-count").textContent = "The answers could not be unpacked: " + error.message; });
    const watch = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      begin();
    }, { rootMargin: "600px" });
    watch.observe(byId("answers"));
  }
  openTarget();
})();

"use strict";
(() => {
  const byId = (name) => document.getElementById(name);
  const make = (tag, name, content) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (content !== undefined) node.textContent = content;
    return node;
  };

  // A link to something inside closed details opens them.
  const openTarget = () => {
    const target = location.hash.length > 1 ? byId(location.hash.slice(1)) : null;
    if (!target) return;
    for (let node = target.parentElement; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (target.classList.contains("claim")) target.querySelector("details").open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", openTarget);

  // Paper cannot be clicked: what is closed is opened for the printer, and closed again.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")].filter((each) => !each.classList.contains("twin"));
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of opened) each.open = false; });

  // One arm brought forward in all charts.
  const upbringing = byId("upbringing");
  const arms = [...document.querySelectorAll("button.arm")];
  for (const button of arms) button.addEventListener("click", () => {
    const chosen = button.getAttribute("aria-pressed") !== "true";
    for (const each of arms) each.setAttribute("aria-pressed", String(chosen && each === button));
    if (chosen) upbringing.dataset.focus = button.dataset.style; else delete upbringing.dataset.focus;
  });

  // Filter of the differences.
  const claimSearch = byId("claims-search");
  if (claimSearch) {
    const verdict = byId("claims-verdict");
    const claims = [...document.querySelectorAll(".claim")];
    const filter = () => {
      const word = claimSearch.value.toLowerCase();
      const active = Boolean(word || verdict.value);
      let left = 0;
      for (const claim of claims) {
        claim.hidden = !(claim.dataset.words.includes(word) && (!verdict.value || claim.dataset.verdict === verdict.value));
        if (!claim.hidden) left += 1;
      }
      for (const box of document.querySelectorAll("#differences .more")) box.open = active && Boolean(box.querySelector(".claim:not([hidden])"));
      for (const group of document.querySelectorAll("#differences .group")) group.hidden = !group.querySelector(".claim:not([hidden])");
      byId("claims-count").textContent = active ? left + " of " + claims.length + " differences" : "";
    };
    claimSearch.addEventListener("input", filter);
    verdict.addEventListener("input", filter);
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
      if (!withText || answer[2] < 0) { where.append(make("span", "", answer[3] + " characters")); return box; }
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
      count.textContent = shown + " of " + found.length + " questions shown, " + data.items.length + " in all";
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

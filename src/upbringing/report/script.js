"use strict";
(async () => {
  const holder = document.getElementById("answers-data");
  if (!holder) return;
  const PAGE = 20;
  const bytes = Uint8Array.from(atob(holder.textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const data = JSON.parse(await new Response(stream).text());
  const text = (index) => data.strings[index];
  const list = document.getElementById("answers-list");
  const count = document.getElementById("answers-count");
  const more = document.getElementById("answers-more");
  const search = document.getElementById("answers-search");
  const request = document.getElementById("answers-request");
  const split = document.getElementById("answers-split");
  const differ = document.getElementById("answers-differ");
  const make = (tag, name, content) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (content !== undefined) node.textContent = content;
    return node;
  };
  const answer = (entry) => {
    const box = make("div", "answer");
    box.append(make("p", "who", text(entry[0]) + " · " + text(entry[2])));
    box.append(make("p", "what", text(entry[1])));
    return box;
  };
  const card = (item) => {
    const box = make("article", "item");
    const head = make("h3", "", text(item.prompt));
    const tags = make("p", "small");
    for (const word of [text(item.request), text(item.split), text(item.condition)]) tags.append(make("span", "tag", word), " ");
    box.append(head, tags);
    const grid = make("div", "answers");
    const show = () => { for (const entry of item.answers) grid.append(answer(entry)); };
    if (text(item.request) === "harmful") {
      head.textContent = "A harmful request (hidden)";
      const button = make("button", "", "Show request and answers");
      button.addEventListener("click", () => { head.textContent = text(item.prompt); button.remove(); show(); });
      box.append(button);
    } else show();
    box.append(grid);
    return box;
  };
  let found = [];
  let shown = 0;
  const page = () => {
    for (const item of found.slice(shown, shown + PAGE)) list.append(card(item));
    shown = Math.min(found.length, shown + PAGE);
    count.textContent = shown + " of " + found.length + " questions shown";
    more.hidden = shown >= found.length;
  };
  const filter = () => {
    const word = search.value.toLowerCase();
    found = data.items.filter((item) =>
      (!request.value || text(item.request) === request.value) &&
      (!split.value || text(item.split) === split.value) &&
      (!differ.checked || new Set(item.answers.map((entry) => entry[2])).size > 1) &&
      (!word || text(item.prompt).toLowerCase().includes(word) || item.answers.some((entry) => text(entry[1]).toLowerCase().includes(word))));
    list.replaceChildren();
    shown = 0;
    page();
  };
  for (const control of [search, request, split, differ]) control.addEventListener("input", filter);
  more.addEventListener("click", page);
  filter();
})();

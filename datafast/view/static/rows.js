// The table of rows: what is asked for stands in the address, so that reload, back and bookmarks keep it.

import { element, getJson } from "/static/shared.js";
import { Facets } from "/static/facets.js";
import { Grid } from "/static/grid.js";

const PAGE = 50; // rows that are fetched together
const KEPT = 60; // of such pages
const SETTLE_MS = 40; // that rows are in sight before they are fetched
const NOTE_MS = 300; // until the address says where we are
const NUMBER_WIDTH = "88px";
const WIDTHS = { text: "minmax(260px, 3fr)", talk: "minmax(260px, 3fr)", short: "minmax(104px, 1fr)", number: "100px", nested: "minmax(160px, 1fr)" };
const NARROWEST = 60;
const ORDERED = 40; // columns that the list of orders has
const ORDERS = {
  text: [["text", false, "A to Z"], ["length", false, "shortest first"], ["length", true, "longest first"]],
  talk: [["length", false, "shortest first"], ["length", true, "longest first"]],
  short: [["text", false, "A to Z"], ["text", true, "Z to A"]],
  number: [["number", false, "lowest first"], ["number", true, "highest first"]],
  nested: [["length", false, "shortest first"], ["length", true, "longest first"]],
};

const get = (id) => document.getElementById(id);
const root = get("table");
const output = root.dataset.output;
const api = `/api/o/${encodeURIComponent(output)}/rows`;
const number = (value) => value.toLocaleString("en");
const isQuery = (name) => ["q", "pattern", "sort", "by", "descending", "part"].includes(name) || name.startsWith("f.");

let params = new URLSearchParams(location.search);
let columns = []; // all that are known
let state = null; // what the viewer has said last
let pages = new Map(); // rows by number of the page
let loading = new Map();
let events = null;
let isPlaced = false; // whether the place in the address was gone to

// -- what is asked for

const isNarrowed = () => [...params.keys()].some((name) => name === "q" || name.startsWith("f."));
const chosen = (id) => new Set(params.getAll(`f.${id}`));
const query = () => new URLSearchParams([...params].filter(([name]) => isQuery(name)));
const shownColumns = () => {
  const wanted = params.getAll("c");
  const byId = new Map(columns.map((column) => [column.id, column]));
  return wanted.length ? wanted.map((id) => byId.get(id) ?? { id, name: id, kind: "short" }) : columns.filter((column) => column.isShown);
};

/** Changes the address; a new query begins at its first row. */
function change(edit, { isNew = true } = {}) {
  edit(params);
  if (isNew) {
    params.delete("row");
    params.delete("at");
  }
  const address = `${location.pathname}${params.size ? `?${params}` : ""}`;
  if (isNew) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

function ask(edit) {
  change(edit);
  connect();
}

// -- rows

const grid = new Grid(get("grid"), { label: "Rows", fill, opened, seen });

function fill(row, place) {
  const page = pages.get(Math.floor(place / PAGE));
  const found = page?.[place % PAGE];
  if (row.found === found && found) return;
  row.found = found;
  row.toggleAttribute("aria-busy", !found);
  if (!found) {
    row.replaceChildren(element("div", { role: "gridcell", class: "cell waits" }, "…"));
    return;
  }
  const link = element("a", { href: addressOf(found), tabindex: "-1" }, number(found.number));
  const cells = [element("div", { role: "gridcell", class: "cell number" }, link)];
  if (found.told) cells.push(element("div", { role: "gridcell", class: "cell told", "aria-colspan": String(shownColumns().length) }, found.told));
  else {
    shownColumns().forEach((column, at) => {
      const text = found.cells[at];
      const isNone = text === null || text === "";
      cells.push(
        element("div", { role: "gridcell", class: `cell ${column.kind}${isNone ? " none" : ""}`, dir: "auto", "data-name": column.name }, ...marked(text ?? "")),
      );
    });
  }
  row.replaceChildren(...cells);
}

/** A text with what was searched for marked in it. */
function marked(text) {
  const wanted = params.get("pattern") === "1" ? "" : (params.get("q") ?? "").toLowerCase();
  const lowered = text.toLowerCase();
  if (!wanted || lowered.length !== text.length) return [text];
  const parts = [];
  let from = 0;
  for (let at = lowered.indexOf(wanted); at >= 0; at = lowered.indexOf(wanted, from)) {
    parts.push(text.slice(from, at), element("mark", {}, text.slice(at, at + wanted.length)));
    from = at + wanted.length;
  }
  return [...parts, text.slice(from)];
}

const addressOf = (row) => `/o/${encodeURIComponent(output)}/rows/${encodeURIComponent(row.uuid ?? row.number)}`;

function opened(place) {
  const found = pages.get(Math.floor(place / PAGE))?.[place % PAGE];
  if (!found) return;
  noteNow();
  location.assign(addressOf(found));
}

let settling = 0;
function seen(first, last) {
  const wanted = [];
  for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE) && last >= 0; page += 1) wanted.push(page);
  for (const [page, load] of loading) {
    if (!wanted.includes(page)) {
      load.abort();
      loading.delete(page);
    }
  }
  clearTimeout(settling);
  const missing = wanted.filter((page) => !loading.has(page) && isMissing(page));
  if (missing.length) settling = setTimeout(() => missing.forEach(load), pages.size ? SETTLE_MS : 0);
  note();
}

/** Whether a page has fewer rows than it should, or is of an order that is no longer. */
function isMissing(page) {
  const rows = pages.get(page);
  return !rows || rows.isOld || (rows.length < Math.min(PAGE, grid.total - page * PAGE) && rows.asOf !== state);
}

async function load(page) {
  const stop = new AbortController();
  loading.set(page, stop);
  const wanted = query();
  wanted.set("start", page * PAGE);
  wanted.set("count", PAGE);
  shownColumns().forEach((column) => wanted.append("c", column.id));
  const asOf = state;
  try {
    const found = await getJson(`${api}?${wanted}`, { signal: stop.signal });
    if (stop.signal.aborted) return;
    found.rows.asOf = asOf;
    pages.delete(page);
    pages.set(page, found.rows);
    for (const old of [...pages.keys()].slice(0, Math.max(0, pages.size - KEPT))) pages.delete(old);
    grid.refill(page * PAGE, (page + 1) * PAGE - 1);
  } catch (error) {
    if (error.name !== "AbortError") tell(error.message);
  } finally {
    if (loading.get(page) === stop) loading.delete(page);
  }
}

function forget() {
  for (const load of loading.values()) load.abort();
  loading.clear();
  pages = new Map();
  grid.refill();
  grid.draw();
}

// -- what the viewer says

function connect() {
  events?.close();
  state = null;
  forget();
  showAsked();
  show();
  grid.show(0);
  events = new EventSource(`${api}/events?${query()}`);
  const on = (name, does) => events.addEventListener(name, (event) => does(JSON.parse(event.data)));
  on("columns", setColumns);
  on("state", setState);
  on("facets", ({ facets: found, more }) => {
    facets.show(found);
    get("facets-told").hidden = found.length > 0;
    get("facet-list").classList.toggle("more", more);
  });
  on("refused", ({ told }) => {
    events.close();
    tell(told);
  });
  // It connects again by itself; whether there is still a viewer is another question.
  events.onerror = () => getJson(`${api}?count=0`).catch((error) => tell(error.status ? error.message : ""));
}

function setState(found) {
  const before = state;
  state = found;
  const isOther = before && (before.generation !== found.generation || before.sort?.ordered !== found.sort?.ordered);
  // Rows of an order that is no longer are shown until the others have come.
  if (isOther) for (const rows of pages.values()) rows.isOld = true;
  const wasGuess = before && !before.selected.exact && !isNarrowed();
  const wasAtEnd = wasGuess && grid.top > 0 && grid.top >= grid.furthest;
  if (grid.total !== found.selected.rows) grid.setTotal(found.selected.rows);
  else grid.draw();
  if (!isPlaced && (found.selected.exact || found.selected.rows >= Number(params.get("row") ?? 1))) goToPlace();
  else if (wasAtEnd) grid.show(found.selected.rows - 1);
  tell(problem());
  show();
}

function goToPlace() {
  isPlaced = true;
  grid.active = Math.max(0, Math.min(Number(params.get("at") ?? params.get("row") ?? 1), grid.total) - 1);
  if (params.has("row")) grid.show(Number(params.get("row")) - 1);
}

function problem() {
  const { search, facets: counted } = state;
  if (state.problem) return state.problem;
  if (search?.gaveUp) return "The search was given up, because the pattern takes too long in many rows. Write a simpler one.";
  if (search?.slow) return `${number(search.slow)} rows were not searched to the end, because the pattern takes too long in them.`;
  if (counted.isFull) return `There are too many rows to count values in all of them: the filter knows the first ${number(counted.rows)}.`;
  return "";
}

function tell(text) {
  const told = get("problem");
  if (told.textContent !== text) told.textContent = text;
  told.hidden = !text;
}

/** Shows what is asked for. Only where that becomes another: what somebody types meanwhile is theirs. */
function showAsked() {
  get("clear").hidden = !isNarrowed();
  get("text").value = params.get("q") ?? "";
  get("pattern").checked = params.get("pattern") === "1";
  const count = new Set([...params.keys()].filter((name) => name.startsWith("f."))).size;
  get("open-facets").textContent = count ? `Filter (${count})` : "Filter";
  showSort();
}

function show() {
  if (!state) {
    get("count").textContent = "";
    get("progress").textContent = "";
    return;
  }
  const { rows, selected, facets: counted, search, sort } = state;
  const all = `${rows.exact ? "" : "about "}${number(rows.rows)} ${rows.rows === 1 ? "row" : "rows"}`;
  const told = isNarrowed() ? `${number(selected.rows)} of ${all}${selected.exact ? "" : " so far"}` : all;
  if (get("count").textContent !== told) get("count").textContent = told;
  const percent = (share) => `${Math.floor(100 * share)} %`;
  const doing = [
    state.isCopying && "reading the file",
    search && search.share < 1 && !search.gaveUp && `searched ${percent(search.share)}`,
    sort && sort.share < 1 && `sorting ${percent(sort.share)}`,
    sort && sort.share === 1 && !sort.ordered && "sorting",
    counted.share < 1 && `values counted in ${percent(counted.share)}`,
    counted.broken > 0 && `${number(counted.broken)} ${counted.broken === 1 ? "line is not a row" : "lines are not rows"}`,
  ].filter(Boolean);
  get("progress").textContent = doing.join(" · ");
  showEmpty(selected);
}

function showEmpty({ rows, exact }) {
  let told = null;
  if (rows === 0 && exact) {
    if (isNarrowed()) told = "No row is like that. Choose other values, or show all rows.";
    else if ((params.get("part") ?? "rows") === "rows") told = "There are no rows yet. They are shown as soon as a run has written some.";
    else told = params.get("part") === "dropped" ? "No row was dropped." : "No item has failed.";
  }
  get("grid").dataset.told = told ?? "";
  let empty = get("empty");
  if (!told) empty?.remove();
  else {
    empty ??= get("grid").parentElement.appendChild(element("p", { id: "empty", class: "empty" }));
    if (empty.textContent !== told) empty.textContent = told;
  }
}

// -- facets

const facets = new Facets(get("facet-list"), {
  chosen,
  toggled(id, value, isChosen) {
    ask((changed) => {
      const values = changed.getAll(`f.${id}`).filter((one) => one !== value);
      changed.delete(`f.${id}`);
      for (const one of isChosen ? [...values, value] : values) changed.append(`f.${id}`, one);
    });
  },
  address: (more) => `${api}/values?${new URLSearchParams([...query(), ...Object.entries(more)])}`,
});

// -- columns

function setColumns({ columns: found, more }) {
  const isSame = JSON.stringify(found) === JSON.stringify(columns);
  columns = found;
  const list = get("column-list");
  list.replaceChildren(
    ...found.map((column) => {
      const box = element("input", { type: "checkbox", onchange: () => toggleColumn(column.id, box.checked) });
      box.checked = shownColumns().some((shown) => shown.id === column.id);
      return element("label", {}, box, " ", element("bdi", {}, column.name));
    }),
    ...(more ? [element("p", { class: "soft" }, `and ${number(more)} more`)] : []),
  );
  setOrders();
  if (isSame) return; // a head that somebody is pressing stays below the pointer
  setHead();
  // What was asked for before has other columns.
  forget();
}

function toggleColumn(id, isShown) {
  const before = shownColumns().map((column) => column.id);
  const wanted = isShown ? columns.map((column) => column.id).filter((one) => one === id || before.includes(one)) : before.filter((one) => one !== id);
  change(
    (changed) => {
      changed.delete("c");
      wanted.forEach((one) => changed.append("c", one));
    },
    { isNew: false },
  );
  setHead();
  forget();
}

function setHead() {
  const heads = shownColumns().map((column) => {
    const isSorted = params.get("sort") === column.id;
    const direction = params.get("descending") === "1" ? "descending" : "ascending";
    const by = isSorted && params.get("by") === "length" ? " by length" : "";
    const arrow = isSorted ? (direction === "ascending" ? " ↑" : " ↓") : "";
    return element(
      "div",
      { role: "columnheader", class: `cell ${column.kind}`, "aria-sort": isSorted ? direction : null },
      element("button", { type: "button", onclick: () => nextOrder(column), title: `Order by ${column.name}` }, element("bdi", {}, column.name), by, element("span", { "aria-hidden": "true" }, arrow)),
      widener(column),
    );
  });
  const row = element("div", { role: "row", class: "grid-row head", "aria-rowindex": "1" }, element("div", { role: "columnheader", class: "cell number" }, "Row"), ...heads);
  grid.head.replaceChildren(row);
  grid.grid.setAttribute("aria-colcount", String(heads.length + 1));
  setWidths();
  grid.resize();
}

const widthOf = (column) => (Number(params.get(`w.${column.id}`)) >= NARROWEST ? `${Number(params.get(`w.${column.id}`))}px` : WIDTHS[column.kind]);

function setWidths() {
  grid.space.style.setProperty("--columns", [NUMBER_WIDTH, ...shownColumns().map(widthOf)].join(" "));
}

/** What the width of a column is changed with: dragged, or by the arrows left and right. */
function widener(column) {
  const handle = element("span", {
    role: "separator",
    tabindex: "0",
    class: "widener",
    "aria-orientation": "vertical",
    "aria-label": `Width of ${column.name}`,
    "aria-valuemin": String(NARROWEST),
    "aria-valuemax": "2000",
    "aria-valuenow": params.get(`w.${column.id}`) ?? "300",
  });
  const set = (width) => {
    const wanted = Math.round(Math.min(2000, Math.max(NARROWEST, width)));
    change((changed) => changed.set(`w.${column.id}`, wanted), { isNew: false });
    handle.setAttribute("aria-valuenow", String(wanted));
    setWidths();
  };
  const now = () => handle.parentElement.getBoundingClientRect().width;
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -20, ArrowRight: 20 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    set(now() + step);
  });
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    const from = event.clientX;
    const width = now();
    handle.setPointerCapture(event.pointerId);
    const move = (moved) => set(width + moved.clientX - from);
    handle.addEventListener("pointermove", move);
    handle.addEventListener("lostpointercapture", () => handle.removeEventListener("pointermove", move), { once: true });
  });
  return handle;
}

// -- order

function setOrders() {
  const select = get("sort");
  const options = columns.slice(0, ORDERED).flatMap((column) =>
    ORDERS[column.kind].map(([by, descending, words]) => element("option", { value: JSON.stringify([column.id, by, descending]) }, `${column.name}, ${words}`)),
  );
  select.replaceChildren(element("option", { value: "" }, "of the file"), ...options);
  showSort();
}

function showSort() {
  const select = get("sort");
  const wanted = params.has("sort") ? JSON.stringify([params.get("sort"), params.get("by") ?? "text", params.get("descending") === "1"]) : "";
  if (wanted && ![...select.options].some((option) => option.value === wanted)) select.append(element("option", { value: wanted }, params.get("sort")));
  select.value = wanted;
}

function order(id, by, descending) {
  ask((changed) => {
    for (const name of ["sort", "by", "descending"]) changed.delete(name);
    if (!id) return;
    changed.set("sort", id);
    changed.set("by", by);
    if (descending) changed.set("descending", "1");
  });
  setHead();
}

/** Upwards, downwards, and as in the file. */
function nextOrder(column) {
  const by = { number: "number", short: "text" }[column.kind] ?? "length";
  if (params.get("sort") !== column.id) order(column.id, by, false);
  else if (params.get("descending") !== "1") order(column.id, params.get("by") ?? by, true);
  else order(null);
}

// -- the place in the address

let noting = 0;
function note() {
  clearTimeout(noting);
  if (isPlaced) noting = setTimeout(noteNow, NOTE_MS);
}

function noteNow() {
  change(
    (changed) => {
      for (const [name, place] of [["row", grid.first], ["at", grid.active]]) {
        if (place > 0) changed.set(name, place + 1);
        else changed.delete(name);
      }
    },
    { isNew: false },
  );
}

// -- controls

get("find").addEventListener("submit", (event) => {
  event.preventDefault();
  ask((changed) => {
    changed.delete("q");
    changed.delete("pattern");
    if (get("text").value) changed.set("q", get("text").value);
    if (get("text").value && get("pattern").checked) changed.set("pattern", "1");
  });
});
get("text").addEventListener("search", () => {
  if (!get("text").value && params.has("q")) get("find").requestSubmit();
});
get("text").addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") {
    event.preventDefault();
    grid.focus(grid.active);
  }
});
get("clear").addEventListener("click", () => {
  ask((changed) => {
    for (const name of [...changed.keys()]) if (name === "q" || name === "pattern" || name.startsWith("f.")) changed.delete(name);
  });
  get("text").focus();
});
get("sort").addEventListener("change", (event) => order(...(event.target.value ? JSON.parse(event.target.value) : [null])));
get("part")?.addEventListener("change", (event) => {
  columns = [];
  ask((changed) => {
    for (const name of [...changed.keys()]) changed.delete(name);
    if (event.target.value !== "rows") changed.set("part", event.target.value);
  });
});
get("jump").addEventListener("submit", async (event) => {
  event.preventDefault();
  const wanted = get("row").value.replace(/\D/g, "");
  if (!wanted || !state) return;
  const found = await getJson(`${api}/place?${new URLSearchParams([...query(), ["number", wanted]])}`).catch((error) => tell(error.message));
  if (!found) return;
  if (found.place === null) tell(`Row ${number(Number(wanted))} is not among the rows that are shown.`);
  else {
    tell(problem());
    grid.show(found.place);
    grid.focus(found.place);
  }
});
get("open-facets").addEventListener("click", (event) => {
  const isOpen = root.classList.toggle("with-facets");
  event.target.setAttribute("aria-expanded", String(isOpen));
  if (isOpen) get("facets").querySelector("input")?.focus();
});
addEventListener("keydown", (event) => {
  const isTyped = event.target.closest?.("input:not([type=checkbox]), select, textarea");
  if (event.key === "/" && !isTyped && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    get("text").focus();
    get("text").select();
  } else if (event.key === "Escape") {
    if (root.classList.contains("with-facets")) get("open-facets").click();
    get("columns").open = false;
  }
});
addEventListener("click", (event) => {
  if (!get("columns").contains(event.target)) get("columns").open = false;
});
addEventListener("popstate", () => {
  params = new URLSearchParams(location.search);
  isPlaced = false;
  if (get("part")) get("part").value = params.get("part") ?? "rows";
  connect();
  setHead();
});
addEventListener("pagehide", () => events?.close());
addEventListener("pageshow", (event) => {
  if (event.persisted) connect();
});

connect();

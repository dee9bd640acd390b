// The list of outputs: looked at again while the page is open, sorted, searched, and shown a part at a time.
import { element, getJson } from "./shared.js";

const PART = 200;
const COLUMNS = [
  { name: "name", title: "Output", value: (one) => `${one.name}\u0000${one.folder}`, cell: nameCell },
  { name: "state", title: "State", value: (one) => STATES[one.state]?.[0] ?? "", cell: stateCell },
  { name: "kind", title: "Kind", value: (one) => one.kind ?? "", cell: (one) => cell(one, "kind", one.kind ?? "") },
  { name: "rows", title: "Rows", down: true, value: (one) => one.rows, cell: rowsCell },
  { name: "filtered", title: "Filtered", down: true, value: (one) => one.filtered, cell: (one) => number(one, "filtered") },
  { name: "failed", title: "Failed", down: true, value: (one) => one.failed, cell: (one) => number(one, "failed") },
  { name: "cost", title: "Cost", down: true, value: (one) => one.cost_usd, cell: (one) => cell(one, "cost number", money(one.cost_usd)) },
  { name: "size", title: "Size", down: true, value: (one) => one.size, cell: (one) => cell(one, "size number", size(one.size)) },
  { name: "at", title: "Changed", down: true, value: (one) => one.at, cell: ageCell },
];
const STATES = {
  running: ["running", "tag live"],
  killed: ["killed", "tag bad"],
  damaged: ["cannot be read", "tag bad"],
  unfinished: ["unfinished", "tag warn"],
  complete: ["complete", "tag good"],
  rows: ["rows only", "tag"],
};

const found = new Map();
const rows = new Map();
let version = 0;
let pending = 0;
let isCut = false;
let shown = PART;
let sort = { name: "at", down: true };
let words = [];

const part = (id) => document.getElementById(id);
const count = new Intl.NumberFormat("en");

function cell(one, kind, ...content) {
  return element("td", { class: kind }, ...content);
}

function number(one, name) {
  const value = one[name];
  return cell(one, `${name} number${value ? "" : " soft"}`, value === null || value === undefined ? "" : count.format(value));
}

function nameCell(one) {
  const below = [one.folder, one.kind].filter(Boolean).join(" · ");
  return element(
    "th",
    { class: "name", scope: "row" },
    element("a", { href: `/o/${one.id}/rows` }, element("bdi", {}, one.name)),
    one.is_simulated ? " " : null,
    one.is_simulated ? element("span", { class: "tag" }, "simulated") : null,
    one.folder ? element("bdi", { class: "soft folder" }, one.folder) : null,
    below ? element("bdi", { class: "soft below" }, below) : null,
  );
}

function stateCell(one) {
  if (!one.is_known) return cell(one, "state soft", "being looked at");
  const [title, kind] = STATES[one.state];
  return cell(
    one,
    "state",
    // What has no ledger has no page of its runs.
    ["rows", "damaged"].includes(one.state) ? element("span", { class: kind }, title) : element("a", { class: kind, href: `/o/${one.id}/live` }, title),
    one.told ? element("span", { class: "soft told" }, one.told) : null,
  );
}

function rowsCell(one) {
  if (one.rows === null || one.rows === undefined) return cell(one, "rows number", "");
  const about = one.is_about ? "about " : "";
  const of = one.requested && one.requested !== one.rows ? element("span", { class: "soft" }, ` of ${count.format(one.requested)}`) : null;
  return cell(one, "rows number", `${about}${count.format(one.rows)}`, of);
}

function ageCell(one) {
  const when = new Date(one.at * 1000);
  return cell(one, "at number", one.at ? element("time", { datetime: when.toISOString(), title: when.toLocaleString() }, age(one.at)) : "");
}

function money(usd) {
  if (usd === null || usd === undefined) return "";
  if (usd === 0) return "$0";
  return usd < 0.01 ? "<$0.01" : `$${usd.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (bytes >= 1000 && at < units.length - 1) {
    bytes /= 1000;
    at += 1;
  }
  return `${at && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)} ${units[at]}`;
}

function age(at) {
  const seconds = Math.max(0, Date.now() / 1000 - at);
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit} ago`;
  }
  return "just now";
}

function isLike(one) {
  const text = [one.name, one.folder, one.kind ?? "", STATES[one.state]?.[0] ?? ""].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function sorted() {
  const column = COLUMNS.find((each) => each.name === sort.name);
  const valued = [...found.values()].filter(isLike).map((one) => [column.value(one) ?? null, one]);
  valued.sort(([first, one], [second, other]) => {
    // What has no value comes last in both directions.
    if ((first === null) !== (second === null)) return first === null ? 1 : -1;
    const order = typeof first === "string" ? first.localeCompare(second, undefined, { numeric: true }) : first - second;
    return (sort.down ? -order : order) || one.name.localeCompare(other.name);
  });
  return valued.map(([, one]) => one);
}

function row(one) {
  const known = rows.get(one.id);
  if (known?.one === one) return known.made;
  const made = element("tr", {}, ...COLUMNS.map((column) => column.cell(one)));
  rows.set(one.id, { one, made });
  return made;
}

function show() {
  const all = sorted();
  const body = part("entries");
  const wanted = all.slice(0, shown).map(row);
  // Only what has moved is moved, so that the focus stays where it is.
  wanted.forEach((made, at) => {
    if (body.children[at] !== made) body.insertBefore(made, body.children[at] ?? null);
  });
  while (body.children.length > wanted.length) body.lastChild.remove();
  part("list").hidden = all.length === 0;
  part("none").hidden = found.size > 0;
  part("nothing").hidden = !(found.size > 0 && all.length === 0);
  part("more").hidden = all.length <= shown;
  const of = all.length === found.size ? "" : ` of ${count.format(found.size)}`;
  const told = [`${count.format(all.length)}${of} ${found.size === 1 ? "output" : "outputs"}`];
  if (pending) told.push(`${count.format(pending)} being looked at`);
  if (isCut) told.push("the others are left out: open a folder below this one");
  const text = told.join(", ");
  if (part("count").textContent !== text) part("count").textContent = text;
}

function showHeadings() {
  part("headings").replaceChildren(
    ...COLUMNS.map((column) => {
      const isIt = column.name === sort.name;
      const direction = isIt ? (sort.down ? "descending" : "ascending") : null;
      const arrow = element("span", { class: "arrow", "aria-hidden": "true" }, isIt ? (sort.down ? "↓" : "↑") : "");
      const button = element("button", { type: "button", onclick: () => sortBy(column.name) }, column.title, arrow);
      return element("th", { scope: "col", class: `${column.name}${column.down ? " number" : ""}`, "aria-sort": direction }, button);
    }),
  );
  part("sort").replaceChildren(
    ...COLUMNS.map((column) => element("option", { value: column.name, selected: column.name === sort.name }, column.title)),
  );
}

function sortBy(name, focused = true) {
  const column = COLUMNS.find((each) => each.name === name);
  sort = { name, down: sort.name === name && focused ? !sort.down : Boolean(column.down) };
  showHeadings();
  if (focused) part("headings").querySelector("[aria-sort] button").focus();
  remember();
  show();
}

function remember() {
  const query = new URLSearchParams();
  if (words.length) query.set("q", part("search").value.trim());
  if (sort.name !== "at" || !sort.down) query.set("sort", `${sort.down ? "-" : ""}${sort.name}`);
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
}

function search() {
  words = part("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  shown = PART;
  remember();
  show();
}

async function look() {
  const begun = performance.now();
  try {
    const told = await getJson(`/api/outputs?since=${version}`);
    if (told.version < version) {
      found.clear();
      rows.clear();
    }
    for (const one of told.changed) found.set(one.id, one);
    for (const id of told.gone) {
      found.delete(id);
      rows.delete(id);
    }
    version = told.version;
    pending = told.pending;
    isCut = told.is_cut;
    show();
  } catch {
    // What is wrong is shown at the head of the page, and it may come back.
  }
  const took = performance.now() - begun;
  setTimeout(look, Math.max(pending ? 300 : 2000, 10 * took));
}

function tick() {
  for (const time of document.querySelectorAll("#entries time")) time.textContent = age(new Date(time.dateTime) / 1000);
}

const query = new URLSearchParams(location.search);
const asked = query.get("sort") ?? "";
if (COLUMNS.some((column) => column.name === asked.replace("-", ""))) sort = { name: asked.replace("-", ""), down: asked.startsWith("-") };
part("search").value = query.get("q") ?? "";
words = part("search").value.toLowerCase().split(/\s+/).filter(Boolean);
part("search").addEventListener("input", search);
part("sort").addEventListener("change", (event) => sortBy(event.target.value, false));
part("clear").addEventListener("click", () => {
  part("search").value = "";
  search();
  part("search").focus();
});
part("more").firstChild.addEventListener("click", () => {
  shown += PART;
  show();
});
showHeadings();
look();
setInterval(tick, 30000);

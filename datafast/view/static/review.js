// Rows one after the other. Every button has a key, and nothing is done by a key while somebody types.
import { element, getJson, oneAtATime, postJson } from "./shared.js";

const page = document.getElementById("review");
const api = `/api/o/${page.dataset.output}/review`;
const decides = "decides" in page.dataset;
const by = (id) => document.getElementById(id);
const MOVES_ON = new Set(["accept", "reject", "edit"]);

let now = null; // the row that is shown, as the viewer has told it
let awaited = null; // the form that opens when what goes on has ended
let rows = 0; // how many there are
let step = 1; // the direction in which rows are gone through

// -- what is kept in this browser and in the address

const storage = {
  get(name) {
    try { return localStorage.getItem(`datafast-${name}`); } catch { return null; }
  },
  set(name, value) {
    try { localStorage.setItem(`datafast-${name}`, value); } catch { /* a browser may forbid it */ }
  },
};

function reviewer() {
  return by("reviewer").value.trim() || page.dataset.reviewer;
}

function remember() {
  const query = new URLSearchParams({ rows: by("wanted").value });
  if (now) query.set("row", String(now.number + 1));
  history.replaceState(null, "", `?${query}`);
}

// -- showing

function say(text, wrong = false) {
  by("said").textContent = text;
  by("said").classList.toggle("wrong", wrong);
}

function tag(text, sort = "") {
  return element("span", { class: `tag ${sort}` }, text);
}

function marksOf(told) {
  const { state } = told;
  const marks = [];
  if (told.dropped_by) marks.push(tag(`dropped by ${told.dropped_by}: ${told.why}`, "warn"));
  for (const one of state.decisions) {
    const verb = { accept: "accepted", reject: "rejected", edit: "edited" }[one.action];
    const sort = one.action === "reject" ? "bad" : "good";
    marks.push(tag(`${verb} by ${one.reviewer}${one.reason ? `: ${one.reason}` : ""}`, sort));
  }
  for (const one of state.stale) marks.push(tag(`changed since ${one.reviewer} has decided`, "warn"));
  if (state.disputed) marks.push(tag("disputed", "warn"));
  for (const [name, values] of Object.entries(state.labels)) {
    for (const [who, value] of Object.entries(values)) {
      marks.push(tag(`${name}${value === true ? "" : `: ${typeof value === "string" ? value : JSON.stringify(value)}`} (${who})`));
    }
  }
  return marks;
}

function showState(told) {
  const row = by("row");
  row.classList.toggle("accepted", told.state.verdict === "accepted");
  row.classList.toggle("rejected", told.state.verdict === "rejected");
  by("marks").replaceChildren(...marksOf(told));
  const notes = told.state.notes.map((note) => element("li", {}, element("b", {}, `${note.reviewer}: `), note.text));
  by("notes").replaceChildren(...(notes.length ? [element("ul", { "aria-label": "Notes" }, ...notes)] : []));
}

function show(told) {
  now = told;
  closeForm(false);
  by("row").hidden = false;
  by("nothing").hidden = true;
  by("place").textContent = `Row ${(told.number + 1).toLocaleString("en")} of ${told.exact ? "" : "about "}${told.rows.toLocaleString("en")}`;
  by("content").innerHTML = told.html; // made by the viewer, which escapes what rows hold and passes it through a filter
  by("whole").href = `/o/${page.dataset.output}/rows/${told.dropped_by ? encodeURIComponent(told.row) : told.number + 1}`;
  showState(told);
  showProgress(told);
  remember();
  window.scrollTo({ top: 0 });
}

function showNothing(told) {
  now = null;
  closeForm(false);
  by("row").hidden = true;
  by("nothing").hidden = false;
  const open = by("wanted").value === "open" && step > 0;
  const all = told.reviewers[reviewer()] ? "You have decided about all rows from here on." : "There are no rows here to decide about.";
  by("nothing-told").textContent = open ? all : "There are no more such rows in this direction.";
  showProgress(told);
  remember();
}

function showProgress(told) {
  const mine = told.reviewers[reviewer()] ?? 0;
  const of = by("wanted").value === "dropped" ? "" : ` of ${told.exact ? "" : "about "}${told.rows.toLocaleString("en")}`;
  by("progress").textContent = `${mine.toLocaleString("en")}${of} decided by you`;
  if (!decides) return;
  by("reasons").hidden = !told.reasons.length;
  by("reasons").querySelector("ol").replaceChildren(
    ...told.reasons.map((reason, place) =>
      element("li", {}, element("button", { type: "button", "data-reason": reason, title: reason }, element("kbd", {}, String(place + 1)), ` ${reason}`)),
    ),
  );
}

// -- going on

async function go(from, direction) {
  step = direction;
  let start = from;
  if (start < 0) return say("This is the first row.");
  for (;;) {
    const query = new URLSearchParams({ wanted: by("wanted").value, from: String(start), reviewer: reviewer() });
    if (direction < 0) query.set("back", "1");
    const told = await getJson(`${api}/row?${query}`);
    rows = told.rows;
    if (told.html !== undefined) return show(told);
    if (told.ended || told.number < 0) return showNothing(told);
    say(`Looking: row ${told.number.toLocaleString("en")} …`);
    start = told.number;
  }
}

function move(direction) {
  if (now) return go(now.number + direction, direction);
  return direction > 0 ? go(0, 1) : go(rows - 1, -1);
}

// A form that is asked for meanwhile opens at the end.
const doing = oneAtATime(page, tellWrong, () => {
  const form = awaited;
  awaited = null;
  if (form) perform(form);
});

function tellWrong(message) {
  if (by("form") && !by("form").hidden) by("form-error").textContent = message;
  else say(message, true);
}

// -- deciding

async function decide(action, more = {}) {
  const told = now;
  const sent = { action, reviewer: reviewer(), wanted: by("wanted").value, number: told.number, row: told.row, seen: told.seen, ...more };
  const answer = await postJson(`${api}/decide`, sent).catch(async (error) => {
    // Somebody has changed the row meanwhile: it is shown as it is now, unless what is typed would go with it.
    if (error.kind === "OutputChangedError" && !isUnsaved()) await go(told.number, 1);
    throw error;
  });
  closeForm();
  const place = `row ${(told.number + 1).toLocaleString("en")}`;
  const words = { accept: `Accepted ${place}.`, reject: `Rejected ${place}${more.reason ? `: ${more.reason}` : ""}.`, edit: `Edited ${place}.`, label: `Labelled ${place}.`, note: `Noted at ${place}.` };
  say(words[action]);
  remembered(answer.record.id, told.number);
  if (MOVES_ON.has(action)) return move(1);
  now.state = answer.state;
  showState(now);
}

/** Keeps where a decision was taken, in this tab and through a reload. */
function remembered(id, number) {
  try { sessionStorage.setItem(`datafast-at-${id}`, String(number)); } catch { /* a browser may forbid it */ }
}

/** The number of the row that a decision was about; null where it was not taken in this tab. */
function placeOf(id) {
  try {
    const kept = sessionStorage.getItem(`datafast-at-${id}`);
    return kept === null ? null : Number(kept);
  } catch { return null; }
}

async function undo() {
  const answer = await postJson(`${api}/undo`, { reviewer: reviewer() });
  if (!answer.record) return say("There is nothing to undo.");
  const words = { accept: "Took back that you accepted", reject: "Took back that you rejected", edit: "Took back your edit of", label: "Took back your label of", note: "Took back your note at", prefer: "Took back your preference of" };
  const number = placeOf(answer.record.id);
  say(`${words[answer.record.action]} row ${number === null ? answer.record.row : (number + 1).toLocaleString("en")}.`);
  await go(number ?? now?.number ?? 0, 1);
}

// -- forms

let saves = null;
const DISCARD = "This is not saved. Press Escape once more to drop it.";
const UNSAVED = "This is not saved. Save it first, or cancel.";

/** Whether somebody has written in the form. */
function isUnsaved() {
  const inputs = by("form") && !by("form").hidden ? [...by("form-fields").querySelectorAll("input, textarea")] : [];
  return inputs.some((input) => input.value !== input.dataset.given);
}

function openForm(title, fields, save) {
  saves = save;
  by("form-title").textContent = title;
  by("form-error").textContent = "";
  by("form-fields").replaceChildren(...fields);
  for (const input of by("form-fields").querySelectorAll("input, textarea")) input.dataset.given = input.value;
  by("form").hidden = false;
  by("form").scrollIntoView({ block: "nearest" });
  by("form").querySelector("input, textarea")?.focus();
}

function closeForm(focus = true) {
  if (!by("form") || by("form").hidden) return;
  by("form").hidden = true;
  saves = null;
  if (focus) by("row").focus({ preventScroll: true });
}

function field(label, input, hint) {
  input.id = `field-${by("form-fields").childElementCount}-${Math.random().toString(36).slice(2)}`;
  return element("div", { class: "field" }, element("label", { for: input.id }, label), input, hint ? element("p", { class: "hint" }, hint) : null);
}

function rejecting() {
  const reason = element("input", { type: "text", maxlength: 300 });
  const note = element("input", { type: "text", maxlength: 2000 });
  openForm("Reject", [
    field("Reason", reason, "A few words by which rows are counted. Enter rejects; it may be empty."),
    field("Note", note, "What a model that makes the row again is told as well."),
  ], () => decide("reject", { reason: reason.value.trim(), note: note.value.trim() }));
}

function editing() {
  const inputs = now.fields.map(([name, value, isText]) => {
    const input = element("textarea", { class: isText ? "" : "value", dir: "auto", rows: isText ? Math.min(14, 1 + Math.ceil(value.length / 90)) : 2, spellcheck: isText });
    input.value = value;
    return { name, isText, input, given: input.value };
  });
  openForm("Edit", inputs.map(({ name, input, isText }) => field(name, input, isText ? "" : "JSON")), () => {
    // What is no text goes as it was written: a browser would round its numbers.
    const changed = inputs.filter(({ input, given }) => input.value !== given);
    const sent = (isText) => Object.fromEntries(changed.filter((one) => one.isText === isText).map(({ name, input }) => [name, input.value]));
    return decide("edit", { fields: sent(true), written: sent(false) });
  });
}

function labelling() {
  const name = element("input", { type: "text", maxlength: 100, value: storage.get("label") ?? "" });
  const value = element("input", { type: "text", maxlength: 300 });
  openForm("Label", [field("Name", name), field("Value", value, "May be empty: then the row just has the label.")], () => {
    storage.set("label", name.value.trim());
    return decide("label", { name: name.value.trim(), value: value.value.trim() === "" ? true : value.value.trim() });
  });
  if (name.value) value.focus();
}

function noting() {
  const text = element("textarea", { rows: 3 });
  openForm("Note", [field("Note", text)], () => decide("note", { text: text.value }));
}

// -- keys and buttons

const does = {
  accept: () => doing(() => decide("accept")),
  reject: rejecting,
  edit: editing,
  label: labelling,
  note: noting,
  undo: () => doing(undo),
  next: () => doing(() => move(1)),
  back: () => doing(() => move(-1)),
  first: () => doing(() => go(0, 1)),
  cancel: () => closeForm(),
};
const keys = { a: "accept", r: "reject", e: "edit", l: "label", n: "note", u: "undo", j: "next", k: "back", ArrowRight: "next", ArrowLeft: "back" };
const NEEDS_ROW = new Set(["accept", "reject", "edit", "label", "note"]);
const FORMS = new Set(["reject", "edit", "label", "note"]);
const NEEDS_RIGHT = new Set([...NEEDS_ROW, "undo"]);

/** Whether there is something in the form that would be lost; says so. */
function keepsUnsaved() {
  if (!isUnsaved()) return false;
  by("form-error").textContent = UNSAVED;
  by("form").querySelector("input, textarea").focus();
  return true;
}

function perform(name) {
  if (NEEDS_RIGHT.has(name) && !decides) return;
  if (FORMS.has(name) && page.hasAttribute("aria-busy")) {
    awaited ??= name;
    return;
  }
  // What is typed for a form that is about to open decides nothing.
  if (awaited || (NEEDS_ROW.has(name) && !now)) return;
  if (name !== "cancel" && keepsUnsaved()) return;
  say("");
  does[name]();
}

page.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.does) perform(button.dataset.does);
  else if (button?.dataset.reason !== undefined && now && !keepsUnsaved()) doing(() => decide("reject", { reason: button.dataset.reason }));
});

document.addEventListener("keydown", (event) => {
  const types = event.target.closest?.("input, textarea, select");
  if (event.key === "Escape") {
    awaited = null;
    if (by("form") && !by("form").hidden) {
      if (isUnsaved() && by("form-error").textContent !== DISCARD) by("form-error").textContent = DISCARD;
      else closeForm();
    }
    else types?.blur();
    return;
  }
  if (types && event.key === "Enter" && (event.ctrlKey || event.metaKey) && saves) {
    event.preventDefault();
    by("form").requestSubmit();
    return;
  }
  if (types || event.ctrlKey || event.metaKey || event.altKey) return;
  if (keys[event.key]) {
    event.preventDefault();
    // A key that is held goes through the rows, and decides about one.
    if (!event.repeat || !NEEDS_RIGHT.has(keys[event.key])) perform(keys[event.key]);
  } else if (/^[1-9]$/.test(event.key) && decides && now && !event.repeat && !awaited && !keepsUnsaved()) {
    const reason = now.reasons[Number(event.key) - 1];
    if (reason !== undefined) doing(() => decide("reject", { reason }));
  }
});

by("form")?.addEventListener("input", () => { by("form-error").textContent = ""; });
addEventListener("beforeunload", (event) => { if (isUnsaved()) event.preventDefault(); });
by("form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  if (saves) doing(async () => saves());
});
by("head").addEventListener("submit", (event) => event.preventDefault());
let wanted = "";
by("wanted").addEventListener("change", () => {
  if (keepsUnsaved()) {
    by("wanted").value = wanted;
    return;
  }
  wanted = by("wanted").value;
  doing(() => go(0, 1), { waits: true });
});
by("reviewer").addEventListener("change", () => {
  storage.set("reviewer", reviewer());
  if (!isUnsaved()) doing(() => go(now?.number ?? 0, 1), { waits: true });
});

// -- the beginning

const query = new URLSearchParams(location.search);
by("reviewer").value = storage.get("reviewer") ?? page.dataset.reviewer;
if ([...by("wanted").options].some((option) => option.value === query.get("rows"))) by("wanted").value = query.get("rows");
else if (!decides) by("wanted").value = "all";
wanted = by("wanted").value;
doing(() => go(Math.max(0, Number(query.get("row") ?? 1) - 1 || 0), 1));

// The page of a config: the text, its problems, and what it will ask. What is typed is planned half a second later; newer text takes the
// place of older.

import { element, getJson, postJson, showGone } from "./shared.js";
import { Choices } from "./config-choices.js";
import { Editor } from "./config-editor.js";
import { PlanPane, TRIES } from "./config-plan.js";
import { Schema } from "./config-schema.js";
import { placeAt } from "./config-yaml.js";

const PAUSE_MS = 500;
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

const $ = (id) => document.getElementById(id);
const root = $("config");
const page = crypto.randomUUID();
const state = { name: root.dataset.name, digest: root.dataset.digest, saved: "", problems: [], at: -1 };
const kept = () => `datafast-config:${state.digest ? state.name : "new:" + root.dataset.name}`;

let planning = null;
let pause = 0;

const editor = new Editor($("text"), $("paint"), $("numbers"), {
  changed: () => changed(),
  moved: () => showMeaning(editor.cursor.row, editor.cursor.column),
  pointed: (row) => showMeaning(row, (editor.lines[row] ?? "").trimEnd().length, true),
});
const choices = new Choices(editor, $("choices"), say);
const pane = new PlanPane($("plan"), { page, path: () => nameNow(), text: () => pane.text });
choices.kinds = root.dataset.kinds.split(" ");
state.saved = editor.text;

function say(told) {
  $("said").textContent = told;
}

function nameNow() {
  return $("name")?.value.trim() || state.name;
}

// -- the text

function restore() {
  let draft = null;
  try {
    draft = JSON.parse(sessionStorage.getItem(kept()) ?? "null");
  } catch {
    sessionStorage.removeItem(kept());
  }
  if (!draft || draft.text === editor.text) return;
  const digest = draft.digest;
  editor.set(draft.text);
  const isOther = digest !== state.digest;
  state.digest = digest;
  $("said").replaceChildren(
    isOther ? "Your unsaved text is shown. The file was changed since. " : "Your unsaved text is shown. ",
    element("button", { type: "button", onclick: takeFile }, "Show the file instead"),
  );
}

function isChanged() {
  return editor.text !== state.saved;
}

/** Keeps the text in this tab: when one stops typing, and when the page goes. */
function keep() {
  $("changed").hidden = !isChanged();
  try {
    if (isChanged()) sessionStorage.setItem(kept(), JSON.stringify({ text: editor.text, digest: state.digest }));
    else sessionStorage.removeItem(kept());
  } catch {
    say("The browser has no room to keep your text. Save it, or download it, before you leave.");
  }
}

function changed() {
  $("changed").hidden = !isChanged();
  planning?.abort();
  busy(true);
  clearTimeout(pause);
  pause = setTimeout(() => {
    keep();
    plan();
  }, PAUSE_MS);
}

// -- problems and plan

/** The JSON objects of an answer, one a line, as they come. */
async function* partsOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

/** Shows whether the plan is being made; for screen readers that is a state, and nothing to say at each pause. */
function busy(isBusy) {
  $("plan").setAttribute("aria-busy", String(isBusy));
  $("planning").hidden = !isBusy;
}

/** Says what the plan is, once. */
function tell(told) {
  if ($("planned").textContent !== told) $("planned").textContent = told;
}

async function plan(tries = 1) {
  planning?.abort();
  const own = new AbortController();
  planning = own;
  const text = editor.text;
  busy(true);
  try {
    const answer = await fetch("/api/config/plan", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ page, path: nameNow(), text }),
      signal: own.signal,
    });
    showGone(false);
    if (!answer.ok) throw new Error((await answer.json()).error?.message ?? `The viewer answered ${answer.status}.`);
    let isFailed = false;
    let isAnswered = false;
    for await (const part of partsOf(answer)) {
      if (own.signal.aborted) return;
      isAnswered = true;
      isFailed ||= part.part === "failed" || (part.part === "problems" && part.problems.length > 0);
      take(part, text);
    }
    // No part: a question that was given up has come after this one, and in its place.
    if (!isAnswered && planning === own && tries < TRIES) plan(tries + 1);
    else if (isAnswered && !isFailed && planning === own) tell("The plan is that of this text.");
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error instanceof TypeError) showGone(true);
    tell(error instanceof TypeError ? "The viewer has stopped." : error.message);
  } finally {
    if (planning === own && !own.signal.aborted) busy(false);
  }
}

function take(part, text) {
  if (part.part === "problems") {
    showProblems(part);
    pane.isOld(part.problems.length > 0);
    if (part.problems.length) tell(pane.text === null ? "The plan is shown when there are no problems." : "This is the plan from before the problems.");
  } else if (part.part === "plan") pane.showPlan(part, text);
  else if (part.part === "estimate") pane.showEstimate(part);
  else if (part.part === "failed") {
    pane.isOld(true);
    tell(part.message);
  }
}

/** Columns of the viewer count characters, those of a text area units of UTF-16. */
function units(line, column) {
  return column > 0 ? Array.from(line).slice(0, column - 1).join("").length : 0;
}

function showProblems({ problems, remarks, more }) {
  const placed = (one, kind) => {
    const row = Math.min(one.line, editor.lines.length) - 1;
    const line = editor.lines[row] ?? "";
    const from = one.column > 1 ? units(line, one.column) : line.length - line.trimStart().length;
    return { row, from, end: one.end ? units(line, one.end) : 0, kind, field: one.field, message: one.message };
  };
  const hidden = editor.lines.flatMap((line, row) =>
    BIDI.test(line) ? [{ row, from: 0, end: 0, kind: "warn", field: "", message: "There are marks here that change the direction of text, and are not seen." }] : [],
  );
  state.problems = [...problems.map((one) => placed(one, "bad")), ...remarks.map((one) => placed(one, "warn")), ...hidden];
  state.at = -1;
  editor.mark(state.problems);
  const count = problems.length + more;
  const told = count ? `${count} ${count === 1 ? "problem" : "problems"}.` : "There are no problems.";
  const aside = state.problems.length - problems.length;
  const said = aside ? `${told} ${aside} ${aside === 1 ? "remark" : "remarks"}.` : told;
  if ($("problems-said").textContent !== said) $("problems-said").textContent = said;
  $("problems").replaceChildren(
    ...state.problems.map((one) =>
      element(
        "li",
        { class: one.kind },
        element("button", { type: "button", onclick: () => editor.go(one.row, one.from) }, `Line ${one.row + 1}`),
        element("span", { class: "text" }, one.field ? element("code", {}, one.field) : null, one.field ? ": " : "", one.message),
      ),
    ),
  );
}

function nextProblem(step) {
  const count = state.problems.length;
  if (!count) {
    say("There are no problems.");
    return;
  }
  state.at = (state.at + step + count) % count;
  const one = state.problems[state.at];
  editor.go(one.row, one.from);
  say(`Line ${one.row + 1}: ${one.field ? `${one.field}: ` : ""}${one.message}`);
}

// -- what fields mean

let schemaOf = null;

async function loadSchema() {
  const line = editor.lines.find((one) => /^kind[ \t]*:/.test(one)) ?? "";
  const kind = line.slice(line.indexOf(":") + 1).split("#")[0].trim().replace(/^["']|["']$/g, "");
  if (kind === schemaOf || !choices.kinds.includes(kind)) return;
  schemaOf = kind;
  try {
    const answer = await fetch(`/api/config/schema?kind=${encodeURIComponent(kind)}&page=${page}`);
    for await (const part of partsOf(answer)) {
      if (part.part === "schema" && schemaOf === kind) choices.schema = new Schema(part.schema);
    }
    showMeaning(editor.cursor.row, editor.cursor.column);
  } catch {
    schemaOf = null; // it is asked for again with the next text
  }
}

function showMeaning(row, column, isPointed = false) {
  const place = choices.schema ? placeAt(editor.lines, editor.blocks, row, column) : null;
  const levels = place?.levels.filter((level, number) => number < place.levels.length - 1 || level.name !== null || level.isList) ?? [];
  const found = levels.length ? choices.schema.meaning(levels) : null;
  if (!found) {
    if (!isPointed) $("meaning").replaceChildren(element("p", { class: "soft" }, "What the field under the cursor or the pointer means is told here."));
    return;
  }
  const way = levels.map((one) => (one.isList ? "[]" : one.name)).join(".").replaceAll(".[]", "[]");
  const usual = found.default === undefined || found.default === null ? null : `Otherwise ${JSON.stringify(found.default)}.`;
  $("meaning").replaceChildren(
    element("p", {}, element("code", {}, way), " ", element("span", { class: "soft" }, found.is)),
    element("p", { class: "text" }, found.about || "There is no text about it.", usual ? ` ${usual}` : ""),
  );
}

// -- saving

async function save(digest = state.digest) {
  const name = nameNow();
  const text = editor.text;
  try {
    const done = await postJson("/api/config/save", { path: name, text, digest });
    if (done.conflict) {
      showConflict(done.conflict);
      return;
    }
    sessionStorage.removeItem(kept());
    const isNew = !state.digest;
    Object.assign(state, { name, digest: done.digest, saved: text });
    $("conflict").hidden = true;
    keep();
    say(`Saved ${name}.`);
    if (isNew) location.replace(`/config?path=${encodeURIComponent(name)}`);
  } catch (error) {
    say(error.message);
  }
}

function showConflict({ digest, difference }) {
  const kinds = { "+": "added", "-": "removed", "@": "soft" };
  const heads = 2; // which name the two texts
  $("difference").replaceChildren(
    ...difference.map((line, number) => element("div", { class: number < heads ? "soft" : (kinds[line[0]] ?? null) }, line || " ")),
  );
  $("overwrite").onclick = () => save(digest);
  $("conflict").hidden = false;
  $("conflict-title").focus();
  say("Not saved: the file was changed elsewhere.");
}

async function takeFile() {
  try {
    const found = await getJson(`/api/config/text?path=${encodeURIComponent(state.name)}`);
    sessionStorage.removeItem(kept());
    Object.assign(state, { digest: found.digest, saved: found.text });
    editor.set(found.text);
    $("conflict").hidden = true;
    say("This is the text of the file.");
  } catch (error) {
    if (!root.dataset.digest) {
      editor.set(state.saved);
      say("This is the template.");
    } else say(error.message);
  }
}

async function copy(text, told) {
  try {
    await navigator.clipboard.writeText(text);
    say(told);
  } catch {
    say("The browser does not let this page copy. Select the text and copy it.");
  }
}

function download() {
  const link = element("a", { href: URL.createObjectURL(new Blob([editor.text], { type: "application/yaml" })), download: nameNow().split("/").at(-1) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function showCommand() {
  const name = root.dataset.way === "." ? nameNow() : `${root.dataset.way}/${nameNow()}`;
  $("command").textContent = `datafast generate ${/^[\w./-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`}`;
}

$("save")?.addEventListener("click", () => save());
$("take").addEventListener("click", takeFile);
$("copy").addEventListener("click", () => copy(editor.text, "The text is in the clipboard."));
$("copy-command").addEventListener("click", () => copy($("command").textContent, "The command is in the clipboard."));
$("download").addEventListener("click", download);
$("name")?.addEventListener("input", () => {
  showCommand();
  changed();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "F8") {
    event.preventDefault();
    nextProblem(event.shiftKey ? -1 : 1);
  } else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s" && !event.altKey) {
    event.preventDefault();
    if ($("save")) save();
    else say("This viewer writes no file. Copy or download the text, or start it with --edit.");
  } else if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  }
});
document.addEventListener("pointerdown", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
editor.area.addEventListener("input", () => loadSchema());

addEventListener("pagehide", keep);
showCommand();
restore();
clearTimeout(pause);
keep();
loadSchema();
plan();

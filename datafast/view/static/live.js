// A run while it works: the whole state comes first, and anew whenever it changes; what is pressed is sent, and shows when it has taken effect.

import { element, postJson, showGone } from "./shared.js";

const root = document.getElementById("live");
const isOwn = root.dataset.own === "yes";
const at = (id) => document.getElementById(id);

const STATES = {
  opening: ["opening", "", "The output is being opened."],
  preparing: ["preparing", "good", ""],
  running: ["running", "good", ""],
  paused: ["paused", "warn", "Nothing new begins. Requests in flight land and are kept."],
  stopping: ["stopping", "warn", "Requests in flight land and are kept."],
  unknown: ["no run known", "", "There is no ledger beside this file, so nothing is known of its runs."],
  killed: ["killed", "bad", ""],
  stopped: ["stopped", "warn", ""],
  budget: ["budget reached", "warn", ""],
  failed: ["stopped early", "bad", ""],
  batches: ["waits for batches", "warn", ""],
  partial: ["not complete", "warn", ""],
  flawed: ["ended, with failed rows", "warn", ""],
  complete: ["complete", "good", ""],
};

const whole = new Intl.NumberFormat("en");
const few = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const number = (value) => whole.format(Math.round(value));
const rate = (value) => (value >= 100 ? number(value) : few.format(value));

function money(value) {
  if (value === null || value === undefined) return "unknown";
  if (value === 0) return "$0";
  return `$${value >= 1 ? value.toFixed(2) : value.toPrecision(2)}`;
}

function duration(seconds) {
  const left = Math.max(0, Math.round(seconds));
  if (left < 60) return `${left} s`;
  if (left < 3600) return `${Math.floor(left / 60)} min ${left % 60} s`;
  const hours = Math.floor(left / 3600);
  return hours < 48 ? `${hours} h ${Math.floor((left % 3600) / 60)} min` : `${Math.round(hours / 24)} days`;
}

const percent = (part, of) => (of ? `${few.format((100 * part) / of)} %` : "");
const moment = (seconds) => new Date(seconds * 1000).toLocaleString();

/** Replaces what is in an element only where it is something else, so that a selection and the focus stay. */
function fill(where, ...children) {
  const made = element("div", {}, ...children);
  if (made.innerHTML !== where.innerHTML) where.replaceChildren(...made.childNodes);
}

// -- the state in figures, from a run of this process or from what is recorded

function countsOf({ run, recorded }) {
  if (run && run.requested) {
    return { total: run.total, written: run.written, filtered: run.filtered, failed: run.failed };
  }
  return { total: recorded.requested, written: recorded.written, filtered: recorded.filtered, failed: recorded.failed };
}

function stateOf({ run, recorded }) {
  if (!run) return recorded.state;
  if (run.phase !== "ended") return run.phase;
  return recorded.state === "running" ? "stopping" : recorded.state;
}

function showState(state) {
  const name = stateOf(state);
  const [words, sort] = STATES[name];
  const tag = at("state");
  tag.textContent = words;
  tag.className = `tag ${sort}`;
  document.title = `${words}: ${document.title.replace(/^.*?: /, "")}`;
  fill(at("told"), ...told(name, state));
  at("told").className = `told ${["complete"].includes(name) ? "good" : ["killed", "failed"].includes(name) ? "bad" : ""}`;
  const alarms = state.run?.alarms ?? [];
  at("alarms").hidden = !alarms.length;
  fill(at("alarms"), ...alarms.map((text) => element("p", {}, `Alarm: ${text}`)));
}

function told(name, { run, recorded }) {
  const said = [];
  const say = (...parts) => said.push(element("p", {}, ...parts));
  const command = recorded.command;
  const toMake = `${recorded.pending === 1 ? "1 row is" : `${number(recorded.pending)} rows are`} still to be made.`;
  const goesOn = command
    ? ["It goes on, and nothing is paid for twice, with ", element("code", {}, command), "."]
    : ["It goes on, and nothing is paid for twice, when the script that made it is run again."];
  if (recorded.problem) say(recorded.problem);
  if (run?.what) say(`${run.what[0].toUpperCase()}${run.what.slice(1)}.`);
  if (name === "paused" && run?.paused_by) {
    say(`The alarm ${run.paused_by} has paused the run. Look at the newest rows, then resume or stop it.`);
  }
  if (STATES[name][2]) say(STATES[name][2]);
  if (run?.error) say(run.error);
  if (name === "running" && !run) say("Another process writes this output. It is shown here, and controlled where it was started.");
  if (name === "killed") {
    say(`The process that wrote this output has ended without closing it, last seen ${moment(recorded.changed_at)}: it was killed, or could not write any more. What came before is recorded.`);
    if (recorded.unrecorded) say(`${recorded.unrecorded === 1 ? "1 paid reply waits" : `${number(recorded.unrecorded)} paid replies wait`} in its journal; the next run takes ${recorded.unrecorded === 1 ? "it" : "them"} in.`);
    if (recorded.pending) say(`${toMake} `, ...goesOn);
    else say(...goesOn);
  }
  if (["stopped", "budget", "failed", "batches"].includes(name)) {
    const reason = run?.report?.stop_reason ?? recorded.stop_reason;
    say(`The run stopped early, ${moment(recorded.changed_at)}: ${reason}.`.replace("..", "."));
    say(`${toMake} `, ...goesOn);
  }
  if (name === "partial") say(`The run has ended. ${toMake} `, ...goesOn);
  if (name === "flawed" || name === "complete") {
    const when = recorded.changed_at ? `, ${moment(recorded.changed_at)}` : "";
    const flaws = recorded.failed ? `, and ${number(recorded.failed)} of them failed` : "";
    say(`The run has ended${when}: ${recorded.requested === 1 ? "its row is done" : `all ${number(recorded.requested)} rows are done`}${flaws}.`);
    if (recorded.failed && command) say("Failed rows are tried again with ", element("code", {}, `${command} --retry-failed`), ".");
  }
  if (recorded.batches) say(`${recorded.batches}.`);
  if (isOwn && run?.phase === "ended") {
    const output = root.dataset.output;
    say("Look at ", element("a", { href: `/o/${output}/rows` }, "the rows"), " or at ", element("a", { href: `/o/${output}/report` }, "the report"), ".");
  }
  return said;
}

function showProgress(state) {
  const { total, written, filtered, failed } = countsOf(state);
  const bar = at("progress");
  const part = (value) => (total ? Math.min(100, (100 * value) / total) : 0);
  bar.querySelector(".written").style.width = `${part(written)}%`;
  bar.querySelector(".filtered").style.width = `${part(filtered)}%`;
  bar.querySelector(".failed").style.width = `${part(failed)}%`;
  bar.setAttribute("aria-valuenow", String(Math.round(part(written + filtered + failed))));
  bar.setAttribute("aria-valuetext", `${number(written)} of ${number(total)} rows written`);
  fill(at("tiles"), ...tiles(state).map(([name, main, more]) => element("div", {},
    element("dt", {}, name), element("dd", { class: "main" }, main), more ? element("dd", { class: "soft" }, more) : null)));
}

function tiles(state) {
  const { run, recorded } = state;
  const { total, written, filtered, failed } = countsOf(state);
  const accepted = run?.are_accepted ? "accepted" : "written";
  const found = [[`Rows ${accepted}`, number(written), total ? `of ${number(total)}, ${percent(written, total)}` : ""]];
  const isOver = run ? run.phase === "ended" : recorded.state !== "running";
  if (run) {
    found.push(isOver
      ? ["Time", duration(run.elapsed_s), run.paused_s >= 1 ? `${duration(run.paused_s)} of it paused` : ""]
      : ["Time left", run.left_s === null ? "–" : `about ${duration(run.left_s)}`,
        `${duration(run.elapsed_s)} so far${run.paused_s >= 1 ? `, ${duration(run.paused_s)} paused` : ""}`]);
    found.push(["Rows a second", rate(isOver ? run.mean_rows_per_s : run.rows_per_s), isOver ? "on average" : `${rate(run.mean_rows_per_s)} on average`]);
  } else if (!isOver) {
    found.push(["Rows a second", rate(recorded.rows_per_s), "over the last half minute"]);
  }
  const part = run?.shares?.acceptance ?? (written + filtered ? written / (written + filtered) : null);
  const shares = run?.shares;
  const flaws = shares ? [[shares.duplicates, "duplicates"], [shares.refused, "refusals"], [shares.truncated, "cut"]]
    .filter(([value]) => value).map(([value, what]) => `${few.format(100 * value)} % ${what}`) : [];
  found.push(["Acceptance", part === null ? "–" : percent(part, 1), flaws.length ? flaws.join(", ") : `${number(filtered)} filtered, ${number(failed)} failed`]);
  const calls = run?.calls ?? recorded.calls;
  const tokens = run ? run.input_tokens + run.output_tokens : recorded.input_tokens + recorded.output_tokens;
  found.push(["Calls", number(calls), `${number(tokens)} tokens${run && !isOver ? `, ${number(run.tokens_per_s)} a second` : ""}`]);
  const simulated = run ? run.simulated : recorded.simulated;
  const budget = (run?.budget ?? []).map(({ name, used, limit }) => name === "budget_usd"
    ? `${money(used)} of ${money(limit)} used` : `${number(used)} of ${number(limit)} ${name.replace("max_", "")} used`);
  if (run?.expected_cost_usd && !isOver) budget.unshift(`about ${money(run.expected_cost_usd)} in the end`);
  found.push(["Cost", simulated ? "none" : money(run ? run.cost_usd : recorded.cost_usd), budget.join(", ") || (simulated ? "simulated models" : run ? "of this run" : "of all runs")]);
  return found;
}

// -- providers

const forms = new Map();

function showProviders({ run, recorded }) {
  const table = at("providers");
  const rows = run ? run.providers : [];
  const isKnown = rows.length || recorded.providers.length;
  table.parentElement.hidden = !isKnown;
  at("no-providers").hidden = Boolean(isKnown);
  at("batches").hidden = !run?.batches.length;
  if (run) fill(at("batches"), ...run.batches.map(([name, answered, , state, since, look]) => element("p", {}, `A batch at ${name}: ${answered} ${state} for ${since}${look ? `, next look ${look}` : ""}.`)));
  if (!run) {
    head(table, ["Provider", "Calls", "Tokens", "Cost"]);
    fill(table.tBodies[0], ...recorded.providers.map(([name, calls, tokens, cost]) => line(name, number(calls), number(tokens), money(cost))));
    return;
  }
  const byCalls = run.unit === "calls";
  head(table, ["Provider", "In flight", isOwn ? "At most" : null, byCalls ? "Calls" : "Rows", "A second", "Tokens/s", "Sent again", "Failed", "Latency", "Cost", ""]);
  const body = table.tBodies[0];
  rows.forEach((one, place) => {
    let made = body.rows[place];
    if (!made || made.dataset.name !== one.name) {
      made?.remove();
      made = element("tr", { "data-name": one.name }, element("th", { scope: "row" }, one.name),
        element("td", { class: "number" }), isOwn ? element("td", { class: "number" }, formOf(one.name)) : null,
        ...Array.from({ length: 7 }, () => element("td", { class: "number" })), element("td", { class: "note" }));
      body.insertBefore(made, body.rows[place] ?? null);
    }
    const cells = [...made.cells].filter((cell) => cell.tagName === "TD" && !cell.querySelector("form"));
    const isOver = run.phase === "ended";
    const now = byCalls ? one.calls_per_s : one.rows_per_s;
    const mean = byCalls ? one.mean_calls_per_s : one.mean_rows_per_s;
    const again = Object.values(one.retries).reduce((sum, count) => sum + count, 0);
    fill(cells[0], number(one.limits?.in_flight ?? 0), one.limits?.waiting ? element("span", { class: "soft" }, ` + ${number(one.limits.waiting)} waiting`) : null);
    fill(cells[1], number(byCalls ? one.calls : one.rows));
    fill(cells[2], isOver ? `${rate(mean)} on average` : `${rate(now)}`, isOver ? null : element("span", { class: "soft" }, ` (${rate(mean)})`));
    fill(cells[3], number(isOver ? one.mean_tokens_per_s : one.tokens_per_s));
    fill(cells[4], again ? `${number(again)}${one.waited_s >= 1 ? ` (${duration(one.waited_s)})` : ""}` : "0");
    cells[4].title = Object.entries(one.retries).map(([reason, count]) => `${number(count)} ${reason}`).join(", ");
    fill(cells[5], number(one.failed));
    fill(cells[6], one.latency_s === null ? "–" : `${few.format(one.latency_s)} s`);
    fill(cells[7], run.simulated ? "none" : money(one.cost_usd));
    fill(cells[8], ...notes(one, run));
    setForm(one, isOver);
  });
  while (body.rows.length > rows.length) body.rows[rows.length].remove();
}

function head(table, names) {
  fill(table.tHead, element("tr", {}, ...names.filter((name) => name !== null).map((name, place) => (name
    ? element("th", { scope: "col", class: place ? "number" : null, title: name === "A second" ? "Over the last half minute, and over the whole run" : null }, name)
    : element("td", {})))));
}

function line(name, ...values) {
  return element("tr", {}, element("th", { scope: "row" }, name), ...values.map((value) => element("td", { class: "number" }, value)));
}

/** What limits a provider, in words and with how full it is. */
function notes(one, run) {
  const said = [];
  const limits = one.limits;
  if (limits?.stopped) return [limits.stopped];
  if (one.note) said.push(one.note);
  if (limits?.closed_s > 1) said.push(`sends again in ${duration(limits.closed_s)}`);
  if (limits && limits.limit < limits.concurrency) said.push(`at most ${number(limits.limit)} for now`);
  if (limits?.paced_rpm) said.push(`held to ${number(limits.paced_rpm)} requests/min by the provider`);
  const parts = [said.join(", ")];
  const full = (used, limit, what) => {
    const share = Math.min(1, used / limit);
    const meter = element("span", { class: share > 0.9 ? "meter full" : "meter", "aria-hidden": "true" }, element("span"));
    meter.firstChild.style.width = `${100 * share}%`;
    return element("div", {}, `${number(used)} of ${number(limit)} ${what}/min`, meter);
  };
  if (run.phase === "running" && limits?.rpm_limit) parts.push(full(60 * one.calls_per_s, limits.rpm_limit, "requests"));
  if (run.phase === "running" && limits?.tpm_limit) parts.push(full(60 * one.tokens_per_s, limits.tpm_limit, "tokens"));
  return parts;
}

/** The field for how many requests a provider may have in flight. It keeps what is typed until that is sent. */
function formOf(name) {
  const input = element("input", { type: "number", min: "1", max: "100000", required: true, disabled: true, "aria-label": `Requests in flight at ${name}, at most` });
  const button = element("button", { type: "submit", hidden: true }, "Set");
  const form = element("form", {}, input, button);
  const entry = { input, button, form, isTyped: false, known: "" };
  input.addEventListener("input", () => {
    entry.isTyped = input.value !== entry.known;
    button.hidden = !entry.isTyped;
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const isSent = await send("concurrency", { provider: name, concurrency: Number(input.value) });
    if (!isSent) return;
    entry.isTyped = false;
    button.hidden = true;
    input.focus();
  });
  forms.set(name, entry);
  return form;
}

function setForm(one, isOver) {
  const entry = forms.get(one.name);
  if (!entry) return;
  entry.input.disabled = isOver || !one.limits;
  if (!one.limits) return;
  entry.known = String(one.limits.concurrency);
  if (!entry.isTyped) entry.input.value = entry.known;
}

// -- what did not become a row, and what did

function showReasons({ recorded }) {
  const rest = recorded.more_filtered ? [["", "other reasons", recorded.more_filtered]] : [];
  const filtered = [...recorded.by_stage, ...rest];
  fill(at("filtered"), filtered.length
    ? listed("Filtered rows", ["Stage", "Reason", "Rows"], filtered.map(([stage, reason, rows]) => line(stage, reason, number(rows))))
    : element("p", { class: "soft" }, "None so far."));
  fill(at("failures"), recorded.failures.length
    ? listed("Failed rows", ["Why", "Rows", "For example"], recorded.failures.map(([category, rows, example]) => line(category, number(rows), example)))
    : element("p", { class: "soft" }, "None so far."));
  for (const cell of root.querySelectorAll("#filtered td:nth-child(2), #failures td:nth-child(3)")) cell.className = "text";
}

function listed(name, names, rows) {
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, element("table", {},
    element("thead", {}, element("tr", {}, ...names.map((one) => element("th", { scope: "col", class: one === "Rows" ? "number" : null }, one)))), element("tbody", {}, ...rows)));
}

function showRows({ recorded }) {
  fill(at("newest"), ...(recorded.rows.length ? recorded.rows.map(cardOf)
    : [element("p", { class: "soft" }, "No row is written yet.")]));
}

/** A row: long values below each other, short ones beside each other. */
function cardOf(row) {
  const part = ([name, value]) => element("div", { class: value.length > 60 ? "long" : "short" },
    element("dt", {}, name), element("dd", {}, value));
  return element("div", { class: "card" }, element("dl", {}, ...row.map(part)));
}

// -- what can be done

async function send(what, value = {}) {
  try {
    await postJson(`/api/live/${what}`, value);
    at("lost").hidden = true;
    return true;
  } catch (error) {
    tellLost(error.message);
    return false;
  }
}

function showControls({ run }) {
  if (!isOwn) return;
  const pause = at("pause");
  const goesOn = ["opening", "preparing", "running", "paused"].includes(run.phase);
  pause.textContent = run.phase === "paused" ? "Resume" : "Pause";
  pause.className = run.phase === "paused" ? "main" : "";
  pause.disabled = !goesOn;
  at("stop").disabled = !goesOn;
  at("controls").hidden = run.phase === "ended";
}

if (isOwn) {
  at("pause").addEventListener("click", () => send(at("pause").textContent === "Resume" ? "resume" : "pause"));
  at("stop").addEventListener("click", () => at("ask").showModal());
  at("ask").addEventListener("close", () => {
    if (at("ask").returnValue === "yes") send("stop");
    at("ask").returnValue = "";
  });
}

// -- the stream

let newest = null;

function show(state) {
  newest = state;
  showState(state);
  showProgress(state);
  showProviders(state);
  showReasons(state);
  showRows(state);
  showControls(state);
}

function tellLost(...words) {
  fill(at("lost"), element("p", {}, ...words));
  at("lost").hidden = false;
}

function lose(isRefused) {
  showGone(false);
  const tag = at("state");
  tag.textContent = "connection lost";
  tag.className = "tag bad";
  for (const control of root.querySelectorAll("button, input")) control.disabled = true;
  const when = new Date().toLocaleTimeString();
  if (isRefused) {
    tellLost("The viewer was started again. Open the address that it has printed in its terminal.");
  } else if (isOwn) {
    const command = newest?.recorded.command;
    tellLost(`The connection to the run is lost since ${when}: its process has ended or was killed. What is shown is what was known then, and what was recorded is kept. `,
      ...(command ? ["To go on: ", element("code", {}, command), ". "] : []), "How it stands: ", element("code", {}, "datafast view"), ".");
  } else {
    tellLost(`The viewer has stopped at ${when}. Start `, element("code", {}, "datafast view"), " again and open the address that it prints.");
  }
}

function listen() {
  const stream = new EventSource(isOwn ? "/api/live/stream" : `/api/o/${root.dataset.output}/live/stream`);
  stream.addEventListener("state", (event) => {
    at("lost").hidden = true;
    const state = JSON.parse(event.data);
    show(state);
    if (state.run?.phase === "ended") stream.close();  // nothing more comes
  });
  // The browser tries again by itself, unless it was refused.
  stream.addEventListener("error", () => lose(stream.readyState === EventSource.CLOSED));
}

listen();

// The report of an output: asked for again while it is being made, and while a run writes.
import { element, getJson, showGone } from "./shared.js";

const part = (id) => document.getElementById(id);
const report = part("report");
const output = report.dataset.output;
let number = 0;
let version = 0;

/** The numbers of figures and details that are open, so that they stay open in a newer report. */
function opened() {
  return new Set([...report.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent));
}

async function styled(at) {
  // A new sheet is there before the old one goes, so that nothing jumps.
  const before = document.getElementById("style");
  const sheet = element("link", { rel: "stylesheet", href: `/api/o/${output}/report.css?number=${at}` });
  await new Promise((done) => {
    sheet.addEventListener("load", done);
    sheet.addEventListener("error", done);
    document.head.append(sheet);
  });
  before?.remove();
  sheet.id = "style";
}

async function show(at) {
  const answer = await fetch(`/api/o/${output}/report.html`);
  if (!answer.ok) return;
  const text = await answer.text();
  await styled(at);
  const open = opened();
  const [x, y] = [scrollX, scrollY];
  const focused = report.contains(document.activeElement) ? [...report.querySelectorAll("a, summary, [tabindex]")].indexOf(document.activeElement) : -1;
  // The viewer has escaped all that stands in rows, and the policy of the page runs nothing.
  report.innerHTML = text;
  for (const summary of report.querySelectorAll("details > summary")) summary.parentElement.open = open.has(summary.textContent);
  if (focused >= 0) report.querySelectorAll("a, summary, [tabindex]")[focused]?.focus({ preventScroll: true });
  if (number) scrollTo(x, y);
  else if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
  number = at;
}

function seconds(value) {
  return value < 90 ? `${Math.round(value)} s` : `${Math.round(value / 60)} min`;
}

function tell(state) {
  const isMaking = state.making_s !== null;
  part("making").hidden = !(isMaking && !number && !state.problem);
  part("problem").hidden = !state.problem || isMaking;
  part("why").textContent = state.problem;
  if (isMaking && !number) part("took").textContent = `${seconds(state.making_s)} so far.`;
  let told = "";
  if (number && !state.problem) {
    const rows = state.rows === 1 ? "1 row" : `${state.rows.toLocaleString("en")} rows`;
    told = state.rows ? `of ${rows}, ${state.age_s < 5 ? "just now" : `${seconds(state.age_s)} ago`}` : "There are no rows yet. The report follows when there are";
    if (isMaking) told += "; a newer one is being made";
    else if (!state.is_newest) told += "; the file has changed since, and a newer one follows";
  }
  if (part("told").textContent !== told) part("told").textContent = told;
}

async function look() {
  const mine = ++version;
  let pause = 2000;
  try {
    const state = await getJson(`/api/o/${output}/report`);
    if (state.number !== number && !state.problem && state.number) await show(state.number);
    tell(state);
    pause = state.making_s !== null ? 400 : state.is_newest ? 4000 : 1500;
  } catch (error) {
    if (error.status) {
      part("problem").hidden = false;
      part("why").textContent = error.message;
    } else showGone(true);
  }
  if (mine === version) setTimeout(look, pause);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look();
});
look();

// Which of two texts is better, by one key each. Who wrote them is not in this page until the results are asked for.
import { element, getJson, oneAtATime, postJson } from "./shared.js";

const page = document.getElementById("pairs");
const api = `/api/o/${page.dataset.output}`;
const decides = "decides" in page.dataset;
const by = (id) => document.getElementById(id);
const MOST_SKIPPED = 200;

let now = null;
let skipped = [];

function reviewer() {
  return by("reviewer").value.trim() || page.dataset.reviewer;
}

function say(text, wrong = false) {
  by("said").textContent = text;
  by("said").classList.toggle("wrong", wrong);
}

async function load() {
  const query = new URLSearchParams({ reviewer: reviewer() });
  for (const name of skipped) query.append("skip", name);
  const told = await getJson(`${api}/pairs/next?${query}`);
  now = told.pair ?? null;
  by("pair").hidden = !now;
  by("nothing").hidden = Boolean(now);
  by("progress").textContent = told.pairs ? `${(told.pairs - told.left).toLocaleString("en")} of ${told.pairs.toLocaleString("en")} pairs compared by you${told.are_all ? "" : `, from the first ${told.rows.toLocaleString("en")} rows`}` : "";
  if (!now) {
    by("nothing-told").textContent = told.pairs
      ? "You have compared all pairs. What has come of it stands below."
      : "There are no pairs here: no rows with a chosen and a rejected response, and none that several models have made of the same prompt.";
    return;
  }
  // Made by the viewer, which escapes what rows hold and passes it through a filter.
  by("common").innerHTML = now.common;
  by("left").innerHTML = now.sides[0];
  by("right").innerHTML = now.sides[1];
  window.scrollTo({ top: 0 });
}

const doing = oneAtATime(page, (message) => say(message, true));

async function prefer(better) {
  await postJson(`${api}/pairs/prefer`, { pair: now.name, rows: now.rows, better, reviewer: reviewer() });
  say({ left: "Left is better.", right: "Right is better.", tie: "As good as each other." }[better]);
  await load();
}

async function undo() {
  const answer = await postJson(`${api}/review/undo`, { reviewer: reviewer() });
  say(answer.record ? "Took your last decision back." : "There is nothing to undo.");
  await load();
}

function share(value) {
  return value === null || value === undefined ? "" : `${Math.round(100 * value)} %`;
}

function row(name, ...cells) {
  return element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", { class: "number" }, cell)));
}

async function results() {
  const told = await getJson(`${api}/pairs/results`);
  const parts = [element("p", {}, `${told.pairs.toLocaleString("en")} comparisons, ${told.ties.toLocaleString("en")} of them ties.${told.first_shown === null ? "" : ` What stood left was preferred in ${share(told.first_shown)}.`}`)];
  if (told.models.length) {
    const head = ["model", "pairs", "wins", "ties", "losses", "win rate", "95 % interval"].map((name) => element("th", { scope: "col" }, name));
    const body = told.models.map((one) => row(one.model, one.pairs, one.wins, one.ties, one.losses, share(one.win_rate), `${share(one.low)} to ${share(one.high)}`));
    parts.push(element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Win rates" }, element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body))));
  }
  if (told.judged) {
    parts.push(element("p", {}, `The judge in the rows prefers the same in ${share(told.agreed)} of ${told.judged.toLocaleString("en")} (95 % interval: ${share(told.low)} to ${share(told.high)}).`));
    if (told.departing.length) {
      const links = told.departing.map((one) => element("li", {}, element("a", { href: `/o/${page.dataset.output}/rows/${encodeURIComponent(one.rows[0])}` }, one.rows[0]), `: the judge scores the other one higher by ${one.by.toLocaleString("en")} (${one.reviewer})`));
      parts.push(element("p", {}, "Where it departs from people most:"), element("ul", {}, ...links));
    }
  }
  if (!told.pairs) parts.splice(0, parts.length, element("p", {}, "Nothing was compared yet."));
  by("results").replaceChildren(...parts);
}

const does = {
  left: () => doing(() => prefer("left")),
  right: () => doing(() => prefer("right")),
  tie: () => doing(() => prefer("tie")),
  skip: () => doing(async () => {
    skipped = [...skipped, now.name].slice(-MOST_SKIPPED);
    say("Skipped.");
    await load();
  }),
  undo: () => doing(undo),
  results: () => doing(results),
};
const keys = { 1: "left", ArrowLeft: "left", 2: "right", ArrowRight: "right", 0: "tie", t: "tie", s: "skip", u: "undo" };

function perform(name) {
  if (name !== "results" && !decides) return;
  if (!["results", "undo"].includes(name) && !now) return;
  does[name]();
}

page.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.does) perform(button.dataset.does);
});
document.addEventListener("keydown", (event) => {
  if (event.target.closest?.("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
  event.preventDefault();
  perform(keys[event.key]);
});
by("head").addEventListener("submit", (event) => event.preventDefault());
by("reviewer").addEventListener("change", () => {
  skipped = [];
  try { localStorage.setItem("datafast-reviewer", reviewer()); } catch { /* a browser may forbid it */ }
  doing(load, { waits: true });
});
try { by("reviewer").value = localStorage.getItem("datafast-reviewer") ?? page.dataset.reviewer; } catch { /* a browser may forbid it */ }
doing(load);

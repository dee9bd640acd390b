// What a config will ask: counts, cost, placeholders, stages, and prompts to look at.

import { element } from "./shared.js";

const $ = (id) => document.getElementById(id);
/** How often a question is asked in whose place another one has come. */
export const TRIES = 5;

const whole = (count) => Math.round(count).toLocaleString("en-US");

function counted(count) {
  for (const [unit, name] of [[1e12, " T"], [1e9, " G"], [1e6, " M"]]) if (count >= unit) return `${Number((count / unit).toPrecision(3)).toLocaleString("en-US")}${name}`;
  return count >= 1000 ? `${Number((count / 1000).toPrecision(3)).toLocaleString("en-US")} k` : whole(count);
}

function money(usd) {
  if (usd === 0) return "$0";
  const places = usd >= 100 ? 0 : usd >= 0.1 ? 2 : usd >= 0.001 ? 4 : 6;
  return `$${usd.toLocaleString("en-US", { minimumFractionDigits: Math.min(places, 2), maximumFractionDigits: places })}`;
}

function lasting(seconds) {
  if (seconds < 60) return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Number((seconds / 3600).toPrecision(2))} h` : `${whole(seconds / 86_400)} d`;
}

/** What is expected, and from where to where it may be. */
function span(value, shown) {
  if (value === null) return ["unknown", ""];
  const [low, high] = [shown(value.low), shown(value.high)];
  return [shown(value.expected), low === high ? "" : `${low} to ${high}`];
}

function figure(name, value, range = "") {
  return element("div", { class: "figure" }, element("dt", {}, name), element("dd", {}, value, range ? element("span", { class: "soft" }, range) : null));
}

function table(caption, heads, rows) {
  return element(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    element(
      "table",
      {},
      element("thead", {}, element("tr", {}, ...heads.map((head, at) => element("th", { scope: "col", class: rows.some((row) => row[at]?.isNumber) ? "number" : null }, head)))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, number) => (number ? element("td", { class: cell?.isNumber ? "number" : "text" }, cell?.isNumber ? cell.text : cell) : element("th", { scope: "row", class: "text" }, cell)))))),
    ),
  );
}

const number = (text) => ({ isNumber: true, text });

function valuesOf(one) {
  return one.first_values.join(", ") + (one.count > one.first_values.length ? ", …" : "");
}

export class PlanPane {
  /** @param {{page: string, path: Function, text: Function}} asks what prompts are asked with. */
  constructor(place, asks) {
    Object.assign(this, { place, asks, text: null, plan: null, number: 0, looking: null });
    $("order").addEventListener("change", () => this.look(0));
    $("previous").addEventListener("click", () => this.look(this.number - 1));
    $("next").addEventListener("click", () => this.look(this.number + 1));
  }

  /** Shows that the plan is not that of the text, or is again. */
  isOld(isOld) {
    this.place.classList.toggle("old", isOld);
    $("prompts").classList.toggle("old", isOld);
  }

  showPlan(plan, text) {
    const isOther = this.text !== text;
    Object.assign(this, { plan, text });
    this.top = element("dl", { class: "figures" }, figure(plan.target === null ? "Rows" : "Rows drawn", whole(plan.rows)), figure("Calls", whole(plan.total_calls)), figure("Prompts", whole(plan.prompts)));
    this.late = element("div", {}, element("p", { class: "soft" }, "Estimating …"));
    this.place.replaceChildren(this.top, this.late, ...this.parts(plan));
    if (isOther || $("prompts").hidden) {
      $("prompts").hidden = plan.prompts === 0;
      if (plan.prompts) this.look(Math.min(this.number, this.count - 1));
    }
  }

  parts(plan) {
    const made = [];
    if (plan.target !== null) made.push(element("p", {}, `The target is ${whole(plan.target)} accepted rows.`));
    for (const told of plan.first) made.push(element("p", {}, `First: ${told}.`));
    const axes = [...plan.dimensions, ...plan.paired];
    made.push(element("h3", {}, "What prompts are made of"));
    made.push(
      table("What prompts are made of", ["Dimension", "Values", "The first"], [
        ...axes.map((one) => [one.name.replaceAll("_", " "), number(whole(one.count)), one.name === "row" ? "" : valuesOf(one)]),
        ["prompts for each", number(whole(plan.prompts_per_combination)), "templates with their placeholder values"],
        ["rows per prompt", number(whole(plan.rows_per_prompt)), ""],
      ]),
    );
    if (plan.placeholders) {
      const { names, combinations, strategy } = plan.placeholders;
      made.push(element("h3", {}, "Placeholders"));
      made.push(element("p", {}, `${whole(combinations)} ${combinations === 1 ? "combination" : "combinations"} of values in all; the strategy is ${strategy}.`));
      made.push(table("Placeholders", ["Name", "Values", "The first"], names.map((one) => [`<<${one.name}>>`, number(whole(one.count)), valuesOf(one)])));
    }
    for (const told of plan.repeated) made.push(element("p", { class: "text repeated" }, element("span", { class: "tag warn" }, "repeated"), ` ${told}`));
    made.push(element("h3", {}, "Calls"));
    made.push(table("Calls", ["Provider", "Role", "Calls"], plan.calls.map((one) => [one.provider, one.role, number(whole(one.calls))])));
    if (plan.stages.length) {
      made.push(element("h3", {}, "Stages"));
      made.push(element("ol", { class: "stages" }, ...plan.stages.map((one) => element("li", { class: "text" }, element("code", {}, one.stage), one.settings ? ` ${one.settings}` : ""))));
    }
    return made;
  }

  showEstimate(estimate) {
    const tokens = (value) => span(value, counted);
    const isAll = estimate.rows === this.plan.rows && !estimate.replayed;
    this.top.append(
      figure("Cost", ...span(estimate.cost_usd, money)),
      figure("Tokens in", ...tokens(estimate.input_tokens)),
      figure("Tokens out", ...tokens(estimate.output_tokens)),
      figure("Time", ...span(estimate.seconds, lasting)),
    );
    const made = [];
    if (estimate.changes) made.push(element("div", { class: "changes" }, element("h3", {}, "Since the last run"), ...estimate.changes.map((told) => element("p", { class: "text" }, told))));
    if (!isAll) {
      const left = estimate.rows ? `To make: ${whole(estimate.rows)} rows with ${whole(estimate.calls)} calls. Cost, tokens and time are for these.` : "Nothing is left to make: all rows are there, were dropped, or have failed for good.";
      made.push(element("p", { class: "left" }, left, estimate.replayed ? ` ${whole(estimate.replayed)} recorded replies are used again.` : "", estimate.in_batches ? ` ${whole(estimate.in_batches)} calls are in batches under way.` : ""));
    }
    if (estimate.refusal) made.push(element("p", { class: "text" }, element("span", { class: "tag bad" }, "budget"), ` ${estimate.refusal}`));
    const called = estimate.providers.filter((one) => Object.values(one.calls).some((count) => count > 0));
    if (called.length > 1) {
      made.push(
        table("By provider", ["Provider", "Cost", "In", "Out", "Time"], called.map((one) => [one.provider, ...[span(one.cost_usd, money), tokens(one.input_tokens), tokens(one.output_tokens), span(one.seconds, lasting)].map(([text]) => number(text))])),
      );
    }
    if (estimate.notes.length) made.push(element("details", {}, element("summary", {}, "How this is estimated"), element("ul", {}, ...estimate.notes.map((note) => element("li", { class: "text" }, note)))));
    this.late.replaceChildren(...made);
  }

  // -- prompts

  get isSample() {
    return $("order").value === "sample";
  }

  get count() {
    return this.isSample ? this.plan.sample.length : this.plan.prompts;
  }

  async look(at) {
    if (at < 0 || at >= this.count) return;
    this.number = at;
    const position = this.isSample ? this.plan.sample[at] : at;
    this.looking?.abort();
    const own = new AbortController();
    this.looking = own;
    $("previous").disabled = at === 0;
    $("next").disabled = at >= this.count - 1;
    try {
      let told = "";
      // An answer without parts: a question that was given up has come after this one, and in its place.
      for (let tries = 0; !told && tries < TRIES && !own.signal.aborted; tries += 1) {
        const answer = await fetch("/api/config/prompt", {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ page: this.asks.page, path: this.asks.path(), text: this.text, position }),
          signal: own.signal,
        });
        told = (await answer.text()).trim();
      }
      if (told && !own.signal.aborted) this.showPrompt(JSON.parse(told.split("\n").at(-1)), position);
    } catch (error) {
      if (error.name !== "AbortError") $("prompt-which").textContent = "The prompt could not be made.";
    }
  }

  showPrompt(part, position) {
    if (part.part !== "prompt") {
      $("prompt-which").textContent = part.message ?? part.error?.message ?? "The prompt could not be made.";
      return;
    }
    $("prompt-which").textContent = `Prompt ${whole(position + 1)} of ${whole(this.plan.prompts)}, to ${part.provider}`;
    const values = Object.entries(part.values).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", { class: "text" }, value)));
    $("prompt").replaceChildren(
      element("dl", { class: "values" }, ...values),
      ...part.messages.map((one) => element("div", { class: "message" }, element("p", { class: "soft" }, one.role), element("div", { class: "text", dir: "auto" }, one.content))),
      ...(part.json_schema ? [element("details", {}, element("summary", {}, "The reply is JSON of this form"), element("pre", { class: "text" }, JSON.stringify(part.json_schema, null, 2)))] : []),
    );
  }
}

// Suggestions below the cursor: names of fields and values, from the schema.

import { element } from "./shared.js";
import { placeAt } from "./config-yaml.js";

const MOST = 60;

export class Choices {
  constructor(editor, list, say) {
    Object.assign(this, { editor, list, say, found: [], chosen: -1, schema: null, kinds: [] });
    editor.area.addEventListener("keydown", (event) => this.key(event), { capture: true });
    editor.area.addEventListener("input", (event) => this.typed(event));
    editor.area.addEventListener("blur", () => setTimeout(() => this.close(), 150));
    editor.area.addEventListener("scroll", () => this.isOpen && this.put());
    editor.area.addEventListener("pointerdown", () => this.close());
  }

  get isOpen() {
    return !this.list.hidden;
  }

  place() {
    const { row, column } = this.editor.cursor;
    return placeAt(this.editor.lines, this.editor.blocks, row, column);
  }

  typed(event) {
    const isText = event.inputType === "insertText" && /^[\w-]$/.test(event.data ?? "");
    if (isText || (this.isOpen && event.inputType === "deleteContentBackward")) this.open(false);
    else this.close();
  }

  options(place) {
    if (place.levels.length === 1 && place.mode === "value" && place.name === "kind") return this.kinds.map((text) => ({ text, about: "" }));
    if (!this.schema) return [];
    if (place.mode === "value") return this.schema.values(place.levels);
    const names = this.schema.names(place.levels).filter((one) => !one.given || one.text === place.name);
    if (!place.isEntry || names.length) return names;
    return this.schema.values(place.levels.slice(0, -1));
  }

  /** Shows what may stand at the cursor. `isAsked`: by the key for it; then also where nothing is written yet. */
  open(isAsked) {
    const place = this.place();
    const prefix = place?.prefix.trimStart() ?? "";
    const options = place && (isAsked || prefix) ? this.options(place) : [];
    const low = prefix.toLowerCase();
    const begins = options.filter((one) => one.text.toLowerCase().startsWith(low));
    const within = low ? options.filter((one) => !begins.includes(one) && one.text.toLowerCase().includes(low)) : [];
    this.found = [...begins, ...within].slice(0, MOST);
    if (!isAsked && this.found.some((one) => one.text === prefix)) this.found = [];
    this.at = place;
    if (!this.found.length) {
      this.close();
      if (isAsked) this.say("There are no suggestions here.");
      return;
    }
    this.list.replaceChildren(
      ...this.found.map((one, number) =>
        element(
          "li",
          { role: "option", id: `choice-${number}`, "aria-selected": "false", onpointerdown: (event) => this.pointed(event, number) },
          element("span", { class: "choice" }, one.text),
          one.needed ? element("span", { class: "tag" }, "needed") : null,
          one.about ? element("span", { class: "about" }, firstSentence(one.about)) : null,
        ),
      ),
    );
    this.list.hidden = false;
    this.put();
    this.choose(isAsked ? 0 : -1);
    this.say(`${this.found.length} suggestions. Arrow keys choose, Tab takes.`);
  }

  /** Puts the list below the cursor, or above it where there is more room. */
  put() {
    const { row } = this.editor.cursor;
    const spot = this.editor.spot(row, this.at.from);
    const width = this.editor.area.clientWidth;
    this.list.style.left = `${Math.max(4, Math.min(spot.left, width - this.list.offsetWidth - 4))}px`;
    const isBelow = spot.top + this.list.offsetHeight < this.editor.area.clientHeight || spot.top < this.list.offsetHeight + 30;
    this.list.style.top = `${isBelow ? spot.top : spot.top - this.list.offsetHeight - this.editor.height - 4}px`;
  }

  close() {
    if (!this.isOpen) return;
    this.list.hidden = true;
    this.chosen = -1;
    this.editor.area.removeAttribute("aria-activedescendant");
  }

  choose(number) {
    this.chosen = number;
    for (const [at, entry] of [...this.list.children].entries()) {
      entry.setAttribute("aria-selected", String(at === number));
      if (at === number) entry.scrollIntoView({ block: "nearest" });
    }
    if (number < 0) this.editor.area.removeAttribute("aria-activedescendant");
    else this.editor.area.setAttribute("aria-activedescendant", `choice-${number}`);
  }

  pointed(event, number) {
    event.preventDefault();
    this.take(number);
  }

  key(event) {
    if ((event.ctrlKey || event.metaKey) && event.key === " ") {
      event.preventDefault();
      this.open(true);
      return;
    }
    if (!this.isOpen) return;
    const last = this.found.length - 1;
    if (event.key === "ArrowDown") this.choose(this.chosen >= last ? 0 : this.chosen + 1);
    else if (event.key === "ArrowUp") this.choose(this.chosen <= 0 ? last : this.chosen - 1);
    else if (event.key === "Escape") this.close();
    else if (event.key === "Tab" && !event.shiftKey) this.take(Math.max(0, this.chosen));
    else if (event.key === "Enter" && this.chosen >= 0) this.take(this.chosen);
    else {
      if (["ArrowLeft", "ArrowRight", "Home", "End", "PageUp", "PageDown", "Enter"].includes(event.key)) this.close();
      return;
    }
    event.preventDefault();
  }

  take(number) {
    const { text } = this.found[number];
    const { row, column } = this.editor.cursor;
    const line = this.editor.lines[row];
    const isName = this.at.mode === "name" && !(this.at.isEntry && !this.schema?.names(this.at.levels).length);
    let end = column;
    while (/[\w-]/.test(line[end] ?? "")) end += 1;
    const hasColon = line.slice(end).trimStart().startsWith(":");
    const from = this.editor.offset(row, this.at.from);
    this.editor.replace(from, this.editor.offset(row, end), isName && !hasColon ? `${text}: ` : text);
    this.close();
  }
}

export function firstSentence(text) {
  const end = text.search(/[.:;](\s|$)/);
  return (end < 0 ? text : text.slice(0, end)).split("\n")[0].slice(0, 120);
}

// A text area with line numbers, colours and marks. It stays a text area: for the keyboard, for undo and for screen readers.

import { element } from "./shared.js";
import { blocksOf, partsOf } from "./config-yaml.js";

const MARGIN = 12; // lines that are painted above and below those that are seen
const HOVER_MS = 250;

export class Editor {
  /** @param {{changed: Function, moved: Function, pointed: Function}} told when the text, the cursor or the line under the pointer is another. */
  constructor(area, paint, numbers, told) {
    Object.assign(this, { area, paint, numbers, told, marks: new Map(), isLeaving: false });
    this.read();
    this.height = parseFloat(getComputedStyle(area).lineHeight);
    area.addEventListener("input", () => this.edited());
    area.addEventListener("scroll", () => this.draw());
    area.addEventListener("keydown", (event) => this.key(event));
    area.addEventListener("blur", () => (this.isLeaving = false));
    document.addEventListener("selectionchange", () => document.activeElement === area && told.moved());
    area.addEventListener("pointermove", (event) => this.hover(event));
    area.addEventListener("pointerleave", () => clearTimeout(this.hovering));
    new ResizeObserver(() => this.draw()).observe(area);
    this.draw();
  }

  read() {
    this.lines = this.area.value.split("\n");
    this.blocks = blocksOf(this.lines);
  }

  get text() {
    return this.area.value;
  }

  /** Another text, from elsewhere than the keyboard. */
  set(text) {
    this.area.value = text;
    this.edited();
  }

  edited() {
    this.read();
    this.draw();
    this.told.changed();
  }

  /** @returns the row and the column of the cursor, from 0. */
  get cursor() {
    const before = this.area.value.slice(0, this.area.selectionStart);
    const row = before.split("\n").length - 1;
    return { row, column: before.length - before.lastIndexOf("\n") - 1 };
  }

  offset(row, column) {
    let place = 0;
    for (let at = 0; at < row && at < this.lines.length; at += 1) place += this.lines[at].length + 1;
    return place + Math.min(column, this.lines[row]?.length ?? 0);
  }

  /** Moves the cursor, and shows it. */
  go(row, column = 0) {
    const place = this.offset(Math.min(row, this.lines.length - 1), column);
    this.area.focus({ preventScroll: true });
    this.area.setSelectionRange(place, place);
    this.area.scrollTop = Math.max(0, row * this.height - this.area.clientHeight / 3);
    this.area.scrollLeft = 0;
    this.area.closest(".editor").scrollIntoView({ block: "nearest" });
    this.draw();
    this.told.moved();
  }

  /** Marks of problems: [{row, from, end, kind, message}]; columns in UTF-16, `end` 0 for the end of the line. */
  mark(found) {
    this.marks = new Map();
    for (const one of found) this.marks.set(one.row, [...(this.marks.get(one.row) ?? []), one]);
    this.draw();
  }

  /** Replaces a part of the text so that it can be undone. */
  replace(from, end, text, cursor = null) {
    this.area.focus();
    this.area.setSelectionRange(from, end);
    if (!document.execCommand(text === "" ? "delete" : "insertText", false, text)) {
      this.area.setRangeText(text, from, end, "end");
      this.edited();
    }
    if (cursor !== null) this.area.setSelectionRange(cursor, cursor);
  }

  key(event) {
    if (event.defaultPrevented || event.isComposing) return;
    if (event.key === "Escape") this.isLeaving = true;
    else if (event.key === "Tab" && !event.ctrlKey && !event.altKey && !event.metaKey) {
      if (this.isLeaving) return;
      event.preventDefault();
      this.indent(event.shiftKey);
    } else {
      if (!["Shift", "Control", "Alt", "Meta"].includes(event.key)) this.isLeaving = false;
      if (event.key === "Enter" && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey) {
        event.preventDefault();
        this.newLine();
      }
    }
  }

  indent(isBack) {
    const { selectionStart: start, selectionEnd: end } = this.area;
    const text = this.area.value;
    if (start === end && !isBack) {
      const column = this.cursor.column;
      this.replace(start, end, " ".repeat(2 - (column % 2)));
      return;
    }
    const first = text.lastIndexOf("\n", start - 1) + 1;
    const stop = end > start && text[end - 1] === "\n" ? end - 1 : end;
    const behind = text.indexOf("\n", stop);
    const last = behind < 0 ? text.length : behind;
    const lines = text.slice(first, last).split("\n");
    const changed = lines.map((line) => (isBack ? line.replace(/^ {1,2}/, "") : line ? `  ${line}` : line));
    if (changed.join("\n") === lines.join("\n")) return;
    this.replace(first, last, changed.join("\n"));
    if (start === end) {
      const place = Math.max(first, start - (lines[0].length - changed[0].length));
      this.area.setSelectionRange(place, place);
    } else this.area.setSelectionRange(first, first + changed.join("\n").length);
  }

  newLine() {
    const { selectionStart: start, selectionEnd: end } = this.area;
    const { row, column } = this.cursor;
    const before = this.lines[row].slice(0, column);
    let indent = before.length - before.trimStart().length;
    const said = before.trimEnd();
    if (!this.blocks[row] && (said.endsWith(":") || /[|>][+-]?$/.test(said)) && !said.trimStart().startsWith("#")) indent += said.trimStart().startsWith("- ") ? 4 : 2;
    else if (!this.blocks[row] && /^- +\S/.test(said.trimStart()) && said.includes(": ")) indent += 2;
    this.replace(start, end, `\n${" ".repeat(indent)}`);
    // The browser has scrolled to the cursor only if it was at the end.
    const bottom = (row + 2) * this.height + 16;
    if (bottom > this.area.scrollTop + this.area.clientHeight) this.area.scrollTop = bottom - this.area.clientHeight;
  }

  hover(event) {
    clearTimeout(this.hovering);
    const box = this.area.getBoundingClientRect();
    const top = parseFloat(getComputedStyle(this.area).paddingTop);
    const row = Math.floor((event.clientY - box.top - top + this.area.scrollTop) / this.height);
    if (row >= 0 && row < this.lines.length) this.hovering = setTimeout(() => this.told.pointed(row), HOVER_MS);
  }

  /** Where a place of the text is, from the upper left corner of the area. */
  spot(row, column) {
    const probe = element("span", {}, this.lines[row].slice(0, column));
    const line = element("div", { class: "line probe" }, probe);
    this.paint.append(line);
    const width = probe.getBoundingClientRect().width;
    line.remove();
    return { left: width + 10 - this.area.scrollLeft, top: (row + 1) * this.height + 8 - this.area.scrollTop };
  }

  /** Paints the lines that are seen. */
  draw() {
    const { scrollTop, scrollLeft, clientHeight } = this.area;
    const first = Math.max(0, Math.floor(scrollTop / this.height) - MARGIN);
    const last = Math.min(this.lines.length, Math.ceil((scrollTop + clientHeight) / this.height) + MARGIN);
    const painted = [];
    const counted = [];
    for (let row = first; row < last; row += 1) {
      painted.push(this.line(row));
      const kind = this.kindOf(row);
      counted.push(element("div", { class: kind ? `line ${kind}` : "line" }, String(row + 1)));
    }
    this.paint.replaceChildren(...painted);
    this.numbers.replaceChildren(...counted);
    const down = first * this.height - scrollTop;
    this.paint.style.transform = `translate(${-scrollLeft}px, ${down}px)`;
    this.numbers.style.transform = `translateY(${down}px)`;
    this.numbers.parentElement.style.minWidth = `${String(this.lines.length).length + 3}ch`;
  }

  kindOf(row) {
    const kinds = (this.marks.get(row) ?? []).map((one) => one.kind);
    return kinds.includes("bad") ? "bad" : kinds[0];
  }

  line(row) {
    const text = this.lines[row];
    const marks = this.marks.get(row) ?? [];
    const made = element("div", { class: "line" });
    let place = 0;
    for (const [part, kind] of partsOf(text, this.blocks[row] === 1)) {
      made.append(...cutAt(part, kind, place, marks, text.length));
      place += part.length;
    }
    if (marks.length) {
      const more = marks.length > 1 ? ` (and ${marks.length - 1} more)` : "";
      made.append(element("span", { class: `beside ${this.kindOf(row)}` }, `${marks[0].message}${more}`));
    }
    return made;
  }
}

/** A part of a line in one colour, cut where a mark begins or ends. */
function cutAt(part, kind, place, marks, length) {
  const ends = new Set([0, part.length]);
  const spans = marks.map((one) => ({ ...one, end: one.end || length }));
  for (const one of spans) {
    for (const at of [one.from - place, one.end - place]) if (at > 0 && at < part.length) ends.add(at);
  }
  const sorted = [...ends].sort((a, b) => a - b);
  return sorted.slice(1).map((end, number) => {
    const from = sorted[number];
    const within = spans.find((one) => one.from <= place + from && one.end >= place + end);
    const name = [kind, within ? `under ${within.kind}` : ""].filter(Boolean).join(" ");
    return name ? element("span", { class: name }, part.slice(from, end)) : part.slice(from, end);
  });
}

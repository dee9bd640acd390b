// A table of any number of rows of one height: only those in sight are in the page.
//
// Browsers limit how high an element is. Where all rows together are higher, the scroll bar stands for them in proportion: `top` says
// exactly which rows are in sight, small movements of the scroll bar move it as far, and large ones as far in proportion.

import { element } from "/static/shared.js";

const HIGHEST = 8_000_000; // pixels; Firefox has the lowest limit, at 17 million
const AROUND = 6; // rows in the page above and below those in sight
const IDLE_MS = 140;
const LEAST_MOVE = 0.01; // pixels

export class Grid {
  /**
   * @param {HTMLElement} scroller that scrolls
   * @param {object} options
   *   label: of the table
   *   fill(row, place): fills an element with the row at a place; called again when `refill` is
   *   opened(place): a row was opened
   *   seen(first, last): other places are in sight
   */
  constructor(scroller, { label, fill, opened, seen }) {
    this.scroller = scroller;
    this.fill = fill;
    this.opened = opened;
    this.seen = seen;
    this.total = 0;
    this.top = 0;
    this.active = 0;
    this.rows = new Map();
    this.lastScroll = 0;
    this.isDragging = false;
    this.head = element("div", { role: "rowgroup", class: "grid-head" });
    this.body = element("div", { role: "rowgroup", class: "grid-body" });
    this.grid = element("div", { role: "grid", class: "grid", "aria-label": label, "aria-readonly": "true" }, this.head, this.body);
    this.space = element("div", { class: "grid-space" }, this.grid);
    scroller.append(this.space);
    scroller.addEventListener("scroll", () => this.#scrolled());
    scroller.addEventListener("wheel", (event) => this.#wheeled(event), { passive: false });
    scroller.addEventListener("pointerdown", (event) => {
      this.isDragging = event.target === scroller && event.offsetX >= scroller.clientWidth;
    });
    addEventListener("pointerup", () => {
      if (this.isDragging) {
        this.isDragging = false;
        this.#place();
      }
    });
    this.grid.addEventListener("keydown", (event) => this.#pressed(event));
    this.body.addEventListener("click", (event) => this.#clicked(event));
    this.body.addEventListener("focusin", (event) => {
      const row = event.target.closest(".grid-row");
      if (row) this.#activate(row.place);
    });
    new ResizeObserver(() => this.resize()).observe(scroller);
    this.resize();
  }

  // -- sizes

  /** Measures anew. */
  resize() {
    const style = getComputedStyle(this.scroller);
    this.rowHeight = parseFloat(style.getPropertyValue("--row-height"));
    this.height = Math.max(this.rowHeight, this.scroller.clientHeight - this.head.offsetHeight);
    this.grid.style.height = `${this.scroller.clientHeight}px`;
    this.setTotal(this.total);
  }

  setTotal(total) {
    this.#catchUp();
    this.total = total;
    this.furthest = Math.max(0, total * this.rowHeight - this.height);
    const higher = Math.min(total * this.rowHeight + this.head.offsetHeight, HIGHEST);
    this.space.style.height = `${Math.max(higher, this.scroller.clientHeight)}px`;
    this.room = Math.max(0, higher - this.scroller.clientHeight);
    this.ratio = this.room ? Math.max(1, this.furthest / this.room) : 1;
    this.top = Math.min(this.top, this.furthest);
    this.active = Math.max(0, Math.min(this.active, total - 1));
    this.grid.setAttribute("aria-rowcount", String(total + 1));
    this.#place();
    this.draw();
  }

  get first() {
    return Math.floor(this.top / this.rowHeight);
  }

  get pageRows() {
    return Math.max(1, Math.floor(this.height / this.rowHeight));
  }

  // -- scrolling

  /** Brings a place to the top, or into sight with the least movement. */
  show(place, where = "top") {
    const start = place * this.rowHeight;
    if (where === "top") this.#moveTo(start);
    else if (start < this.top) this.#moveTo(start);
    else if (start + this.rowHeight > this.top + this.height) this.#moveTo(start + this.rowHeight - this.height);
  }

  #moveTo(top) {
    this.top = Math.max(0, Math.min(top, this.furthest));
    this.#place();
    this.draw();
  }

  /** Puts the scroll bar where it belongs. */
  #place() {
    if (this.isDragging) return;
    this.scroller.scrollTop = this.top >= this.furthest ? this.room : this.top / this.ratio;
    this.lastScroll = this.scroller.scrollTop;
  }

  /** Follows a movement of the scroll bar that the browser has not told of yet: to put the bar elsewhere would undo it. Whether there was one. */
  #catchUp() {
    const has = Math.abs(this.scroller.scrollTop - this.lastScroll) >= LEAST_MOVE;
    if (has) this.#scrolled();
    return has;
  }

  #scrolled() {
    const at = this.scroller.scrollTop;
    const moved = at - this.lastScroll;
    if (Math.abs(moved) < LEAST_MOVE) return;
    this.lastScroll = at;
    if (at <= 0) this.top = 0;
    else if (at >= this.room - 1) this.top = this.furthest;
    else if (this.ratio > 1 && !this.isDragging && Math.abs(moved) < this.height) this.top += moved;
    else this.top = at * this.ratio;
    this.top = Math.max(0, Math.min(this.top, this.furthest));
    if (this.ratio > 1) {
      clearTimeout(this.idle);
      this.idle = setTimeout(() => this.#catchUp() || this.#place(), IDLE_MS);
    }
    this.draw();
  }

  #wheeled(event) {
    if (this.ratio === 1 || event.ctrlKey || event.shiftKey || !event.deltaY) return;
    const unit = [1, this.rowHeight, this.height][event.deltaMode];
    event.preventDefault();
    this.#moveTo(this.top + event.deltaY * unit);
  }

  // -- rows

  /** Puts the rows that are in sight into the page. */
  draw() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.#draw();
    });
  }

  #draw() {
    const first = Math.max(0, this.first - AROUND);
    const last = Math.min(this.total - 1, Math.ceil((this.top + this.height) / this.rowHeight) + AROUND);
    for (const [place, row] of this.rows) {
      // The row that has the focus stays, or the focus would be lost.
      if ((place < first || place > last) && (place >= this.total || !row.contains(document.activeElement))) {
        row.remove();
        this.rows.delete(place);
      }
    }
    let before = null;
    for (let place = first; place <= last; place += 1) {
      const row = this.rows.get(place) ?? this.#made(place);
      row.style.transform = `translateY(${place * this.rowHeight - this.top}px)`;
      // In the order of their places, for those who read with their ears.
      if (before ? before.nextSibling !== row : this.body.firstChild !== row) {
        if (before) before.after(row);
        else this.body.prepend(row);
      }
      before = row;
    }
    for (const [place, row] of this.rows) {
      if (place < first || place > last) row.style.transform = "translateY(-9999px)";
    }
    this.seen(first, last);
  }

  #made(place) {
    const row = element("div", {
      role: "row",
      class: "grid-row",
      "aria-rowindex": String(place + 2),
      tabindex: place === this.active ? "0" : "-1",
    });
    row.place = place;
    row.classList.toggle("odd", place % 2 === 1);
    this.rows.set(place, row);
    this.fill(row, place);
    return row;
  }

  /** Fills the rows in the page again. */
  refill(first = 0, last = Infinity) {
    for (const [place, row] of this.rows) {
      if (place >= first && place <= last) this.fill(row, place);
    }
  }

  #activate(place) {
    if (place === this.active) return;
    this.rows.get(this.active)?.setAttribute("tabindex", "-1");
    this.active = place;
    this.rows.get(place)?.setAttribute("tabindex", "0");
  }

  /** Makes a place the one that keys move from, and gives it the focus. */
  focus(place) {
    const wanted = Math.max(0, Math.min(place, this.total - 1));
    if (!this.total) return;
    this.#activate(wanted);
    this.show(wanted, "near");
    cancelAnimationFrame(this.drawing);
    this.drawing = 0;
    this.#draw();
    this.rows.get(wanted)?.setAttribute("tabindex", "0");
    this.rows.get(wanted)?.focus({ preventScroll: true });
  }

  #pressed(event) {
    if (event.altKey || event.metaKey || !event.target.closest(".grid-row")) return;
    const moves = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: this.pageRows,
      PageUp: -this.pageRows,
      Home: -Infinity,
      End: Infinity,
    };
    if (event.key in moves) this.focus(this.active + moves[event.key]);
    else if (event.key === "ArrowRight") this.scroller.scrollLeft += 120;
    else if (event.key === "ArrowLeft") this.scroller.scrollLeft -= 120;
    else if (event.key === "Enter" && !event.ctrlKey) this.opened(this.active);
    else return;
    event.preventDefault();
  }

  #clicked(event) {
    const row = event.target.closest(".grid-row");
    if (!row) return;
    this.#activate(row.place);
    const hasMarked = String(getSelection()) !== "";
    if (event.target.closest("a") || hasMarked || event.ctrlKey || event.metaKey || event.shiftKey) return;
    this.opened(row.place);
  }
}

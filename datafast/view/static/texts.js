// Rows and their texts, wherever they are shown: the rest of long texts, and keys for what can be scrolled to the side.
import { element, getJson } from "./shared.js";

/** What is left of a text that is shown in part: the next piece, or all of them, as plain text. */
class Rest {
  constructor(place) {
    this.place = place;
    this.address = place.closest("[data-text]").dataset.text;
    this.path = place.dataset.path;
    this.from = Number(place.dataset.from);
    this.letters = Number(place.dataset.letters);
    this.all = false;
    this.next = element("button", { type: "button", onclick: () => this.show() }, "Show more");
    this.whole = element("button", { type: "button", onclick: () => this.showAll() });
    this.stop = element("button", { type: "button", hidden: true, onclick: () => (this.all = false) }, "Stop");
    this.told = place.querySelector(".left");
    place.append(this.next, " ", this.whole, this.stop);
    this.tell();
  }

  tell() {
    const left = this.letters - this.from;
    this.whole.textContent = `Show all (${left.toLocaleString("en")} letters)`;
    this.told.textContent = left > 0 ? `${this.from.toLocaleString("en")} of ${this.letters.toLocaleString("en")} letters.` : "";
  }

  async show() {
    const query = new URLSearchParams({ path: this.path, from: this.from });
    try {
      const piece = await getJson(`${this.address}?${query}`);
      const shown = element("div", { class: "raw-text piece", dir: "auto" });
      shown.textContent = piece.text; // plain text, whatever is in it
      this.place.before(shown);
      this.from = piece.text ? piece.next : this.letters;
    } catch (error) {
      this.all = false;
      this.told.textContent = error.message;
      return false;
    }
    this.tell();
    if (this.from < this.letters) return true;
    this.place.remove();
    return false;
  }

  async showAll() {
    this.all = true;
    this.next.hidden = this.whole.hidden = true;
    this.stop.hidden = false;
    while (this.all && (await this.show())) await new Promise(requestAnimationFrame);
    this.next.hidden = this.whole.hidden = false;
    this.stop.hidden = true;
  }
}

const WIDE = ".wide, .table, .formula";
const LABELS = { wide: "Table", table: "Table", formula: "Formula" };

/** What is wider than its place can be scrolled by keyboard. */
const widths = new ResizeObserver((seen) => {
  for (const { target } of seen) {
    if (target.scrollWidth > target.clientWidth) {
      target.tabIndex = 0;
      target.setAttribute("role", "region");
      target.setAttribute("aria-label", LABELS[target.classList[0]]);
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) target.removeAttribute(name);
    }
  }
});

/** Makes the texts below a node work. Those that are cut need a `data-text` around them: where their pieces come from. */
export function showTexts(root) {
  for (const place of root.querySelectorAll(".rest[data-path]")) if (place.closest("[data-text]")) new Rest(place);
  for (const place of root.querySelectorAll(WIDE)) widths.observe(place);
}

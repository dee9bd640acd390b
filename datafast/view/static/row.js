// The page of a row: other rows by keyboard, copying, and the rest of long texts.
import { element, getJson } from "./shared.js";

const told = document.getElementById("told");
const copy = document.getElementById("copy");

function say(text) {
  told.textContent = text;
}

if (copy && navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    try {
      const answer = await fetch(copy.dataset.json);
      if (!answer.ok) throw new Error("The row could not be read.");
      await navigator.clipboard.writeText(await answer.text());
      say("Copied.");
    } catch (error) {
      say(`Not copied: ${error.message}`);
    }
  });
}

const steps = { j: "next", ArrowRight: "next", k: "prev", ArrowLeft: "prev" };

document.addEventListener("keydown", (event) => {
  const place = event.target;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (place.closest("input, textarea, select, [contenteditable]")) return;
  // What can be scrolled to the side keeps its arrows.
  if (event.key.startsWith("Arrow") && place !== document.body && place.scrollWidth > place.clientWidth) return;
  if (event.key === "c") copy?.click();
  else if (event.key in steps) document.querySelector(`a[rel="${steps[event.key]}"]`)?.click();
  else return;
  event.preventDefault();
});

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

for (const place of document.querySelectorAll(".rest[data-path]")) new Rest(place);

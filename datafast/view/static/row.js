// The page of a row: other rows by keyboard, and copying.
import { showTexts } from "./texts.js";

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

showTexts(document);

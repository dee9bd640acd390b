// The page of a row: other rows by keyboard, and copying.
import { stepByKeys } from "./steps.js";
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

stepByKeys({ c: () => copy?.click() });
showTexts(document);

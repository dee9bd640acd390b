// Other rows by keyboard: j and the right arrow for the next one, k and the left arrow for the one before.
const LINKS = { j: "next", ArrowRight: "next", k: "prev", ArrowLeft: "prev" };

/** Keys of a page: those of the links to other rows, and `others`, which do what they say. None while somebody writes. */
export function stepByKeys(others = {}) {
  document.addEventListener("keydown", (event) => {
    const place = event.target;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (place.closest("input, textarea, select, [contenteditable]")) return;
    // What can be scrolled to the side keeps its arrows.
    if (event.key.startsWith("Arrow") && place !== document.body && place.scrollWidth > place.clientWidth) return;
    if (Object.hasOwn(others, event.key)) others[event.key]();
    else if (Object.hasOwn(LINKS, event.key)) document.querySelector(`a[rel="${LINKS[event.key]}"]`)?.click();
    else return;
    event.preventDefault();
  });
}

// What the scripts of all pages share: JSON from the viewer, and what is said when it has stopped.

/** An answer of the viewer that says what is wrong. */
export class ViewerError extends Error {
  constructor(message, kind, status) {
    super(message);
    this.kind = kind;
    this.status = status;
  }
}

/** The JSON at an address of the viewer. Throws ViewerError with words to show. */
export async function getJson(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    showGone(true);
    throw new ViewerError("The viewer has stopped.", "Gone", 0);
  }
  showGone(false);
  const body = await answer.json().catch(() => null);
  if (!answer.ok) {
    const told = body?.error ?? {};
    throw new ViewerError(told.message ?? `The viewer answered ${answer.status}.`, told.type ?? "", answer.status);
  }
  return body;
}

/** Sends JSON, and gives the JSON that comes back. */
export function postJson(address, value, options = {}) {
  return getJson(address, {
    ...options,
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(value),
  });
}

/** Says that the viewer has stopped, or takes it back. */
export function showGone(isGone) {
  const told = document.getElementById("gone");
  if (told) told.hidden = !isGone;
}

/** An element: its name, its attributes, and its children (texts stay texts). Attributes that are null or false are left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Gives a function that does one thing at a time, while `place` says that it is busy: what is asked for meanwhile is not done, or afterwards
 * if it `waits`, of several the newest. What is wrong with a thing is given to `tell`; `then` is called when it has ended. */
export function oneAtATime(place, tell, then = () => {}) {
  let busy = false;
  let waiting = null;
  const doing = async (task, { waits = false } = {}) => {
    if (busy) {
      if (waits) waiting = task;
      return;
    }
    busy = true;
    place.setAttribute("aria-busy", "true");
    try {
      await task();
    } catch (error) {
      if (!(error instanceof ViewerError)) throw error;
      tell(error.message);
    } finally {
      busy = false;
      place.removeAttribute("aria-busy");
      const next = waiting;
      waiting = null;
      if (next) doing(next);
      then();
    }
  };
  return doing;
}

// YAML as an editor needs it: the colours of a line, and where in the config a place is. It is no parser: it goes by lines, indents and
// brackets, and takes time in proportion to the text. What is wrong is said by the viewer, which parses.

const LONGEST = 4000; // letters of a line that are coloured

/** Whether lines are within a block of text (below a | or >), for each line. */
export function blocksOf(lines) {
  const within = new Uint8Array(lines.length);
  let indent = -1;
  for (let row = 0; row < lines.length; row += 1) {
    const line = lines[row];
    if (indent >= 0) {
      if (line.trim() === "" || indentOf(line) > indent) {
        within[row] = 1;
        continue;
      }
      indent = -1;
    }
    const end = withoutComment(line).trimEnd();
    const sign = end.at(-1);
    if (sign === undefined || !"|>+-0123456789".includes(sign)) continue;
    const last = end.slice(Math.max(0, end.lastIndexOf(" ") + 1));
    if (!/^[|>][+-]?[1-9]?[+-]?$/.test(last) || end.length === last.length) continue;
    const before = end.slice(0, -last.length).trimEnd();
    if (before.endsWith(":")) indent = keyIndent(line);
    else if (before.endsWith("-")) indent = before.length - 1;
  }
  return within;
}

export function indentOf(line) {
  let count = 0;
  while (line[count] === " ") count += 1;
  return count;
}

/** Where the name in a line begins, behind dashes. */
function keyIndent(line) {
  let place = indentOf(line);
  while (line[place] === "-" && (line[place + 1] === " " || line[place + 1] === undefined)) {
    const from = place + 1;
    let next = from;
    while (line[next] === " ") next += 1;
    if (next >= line.length) return place;
    place = next;
  }
  return place;
}

function withoutComment(line) {
  let quote = "";
  for (let place = 0; place < line.length; place += 1) {
    const sign = line[place];
    if (quote) {
      if (sign === "\\" && quote === '"') place += 1;
      else if (sign === quote) quote = "";
    } else if ((sign === '"' || sign === "'") && (place === 0 || " [{,:-".includes(line[place - 1]))) quote = sign;
    else if (sign === "#" && (place === 0 || line[place - 1] === " ")) return line.slice(0, place);
  }
  return line;
}

/** The parts of a line: [text, class] each; '' is plain. */
export function partsOf(line, isText) {
  if (line.length > LONGEST) return [...partsOf(line.slice(0, LONGEST), isText), [line.slice(LONGEST), ""]];
  if (isText) return withNames(line, "y-text");
  const parts = [];
  let place = 0;
  const take = (end, kind) => {
    if (end > place) parts.push([line.slice(place, end), kind]);
    place = end;
  };
  while (place < line.length) {
    const sign = line[place];
    if (sign === " " || sign === "\t") {
      let end = place + 1;
      while (line[end] === " " || line[end] === "\t") end += 1;
      take(end, "");
    } else if (sign === "#" && (place === 0 || /\s/.test(line[place - 1]))) take(line.length, "y-comment");
    else if (sign === '"' || sign === "'") {
      const end = endOfQuoted(line, place);
      if (isName(line, end)) take(end, "y-name");
      else {
        parts.push(...withNames(line.slice(place, end), "y-text"));
        place = end;
      }
    } else if ("[]{},".includes(sign)) take(place + 1, "y-sign");
    else if (sign === "-" && (line[place + 1] === " " || place + 1 === line.length)) take(place + 1, "y-sign");
    else if (sign === ":" && (line[place + 1] === " " || place + 1 === line.length)) take(place + 1, "y-sign");
    else if ("&*!".includes(sign)) take(endOfPlain(line, place), "y-mark");
    else if ((sign === "|" || sign === ">") && /^[|>][+-]?[1-9]?[+-]?(\s|$)/.test(line.slice(place, place + 5))) take(place + 1, "y-sign");
    else {
      const end = endOfPlain(line, place);
      const text = line.slice(place, end);
      if (isName(line, end)) take(end, "y-name");
      else if (/^[-+]?(\d[\d_]{0,40}(\.\d{0,40})?([eE][-+]?\d{1,4})?|0x[0-9a-fA-F]{1,40})$/.test(text)) take(end, "y-number");
      else if (/^(true|false|null|~)$/i.test(text)) take(end, "y-number");
      else {
        parts.push(...withNames(text, "y-text"));
        place = end;
      }
    }
  }
  return parts;
}

function isName(line, end) {
  let place = end;
  while (line[place] === " ") place += 1;
  return line[place] === ":" && (line[place + 1] === " " || place + 1 === line.length);
}

function endOfQuoted(line, from) {
  const quote = line[from];
  let place = from + 1;
  while (place < line.length) {
    if (line[place] === "\\" && quote === '"') place += 2;
    else if (line[place] === quote && line[place + 1] === quote && quote === "'") place += 2;
    else if (line[place] === quote) return place + 1;
    else place += 1;
  }
  return line.length;
}

/** Where a text without quotes ends: before a comment, before `: `, and within brackets before their signs. */
function endOfPlain(line, from) {
  const inFlow = openAt(line, from).length > 0;
  let place = from + 1;
  while (place < line.length) {
    const sign = line[place];
    if (sign === ":" && (line[place + 1] === " " || place + 1 === line.length)) break;
    if (sign === "#" && line[place - 1] === " ") break;
    if (inFlow && ",]}".includes(sign) && !(sign === "}" && line.lastIndexOf("{", place) > from)) break;
    place += 1;
  }
  while (place > from + 1 && line[place - 1] === " ") place -= 1;
  return place;
}

/** A text with what is filled in, {name} and <<name>>, apart. */
function withNames(text, kind) {
  const parts = [];
  let last = 0;
  for (const found of text.matchAll(/<<[\w-]{1,60}>>|\{\{?[\w.-]{1,60}\}?\}/g)) {
    if (found.index > last) parts.push([text.slice(last, found.index), kind]);
    parts.push([found[0], "y-fill"]);
    last = found.index + found[0].length;
  }
  if (last < text.length) parts.push([text.slice(last), kind]);
  return parts;
}

/** The brackets that are open at a place of a line: of each its sign, where it is, and the names and values in it so far. */
function openAt(line, end) {
  const open = [];
  let place = 0;
  let begun = 0;
  const close = (upTo) => {
    const top = open.at(-1);
    if (!top || top.sign !== "{") return;
    const text = line.slice(begun, upTo);
    const colon = text.indexOf(":");
    if (colon > 0) top.pairs[unquoted(text.slice(0, colon))] = unquoted(text.slice(colon + 1));
  };
  while (place < end) {
    const sign = line[place];
    const before = place === 0 ? " " : line[place - 1];
    if ((sign === '"' || sign === "'") && " [{,:".includes(before)) {
      place = endOfQuoted(line, place);
      continue;
    }
    if (sign === "#" && before === " ") break;
    if ((sign === "{" || sign === "[") && " [{,:".includes(before)) {
      const name = line.slice(begun, place);
      open.push({ sign, at: place, pairs: {}, name: name.includes(":") ? unquoted(name.slice(0, name.indexOf(":"))) : null });
      begun = place + 1;
    } else if ((sign === "}" || sign === "]") && open.length) {
      close(place);
      open.pop();
      begun = place + 1;
    } else if (sign === "," && open.length) {
      close(place);
      begun = place + 1;
    }
    place += 1;
  }
  if (open.length) open.at(-1).begun = begun;
  return open;
}

export function unquoted(text) {
  const plain = text.trim();
  return plain.length > 1 && (plain[0] === '"' || plain[0] === "'") && plain.at(-1) === plain[0] ? plain.slice(1, -1) : plain;
}

/** The name and the value of a line that has them outside brackets. */
function pairOf(line) {
  const begin = keyIndent(line);
  let end = begin;
  if (line[begin] === '"' || line[begin] === "'") end = endOfQuoted(line, begin);
  else if (line[begin] === undefined || "#[{".includes(line[begin])) return null;
  else end = endOfPlain(line, begin);
  if (!isName(line, end)) return null;
  const colon = line.indexOf(":", end);
  return { begin, end, colon, name: unquoted(line.slice(begin, end)), value: unquoted(withoutComment(line.slice(colon + 1))) };
}

/**
 * Where a place of the text is in the config.
 *
 * @returns {{levels, mode, name, from, prefix} | null} `levels` leads there from the top: of each the name (null in a list) and the names and
 * texts beside it; `mode` is "name" or "value", `prefix` what is written of it and `from` where that begins. null within a block of text.
 */
export function placeAt(lines, blocks, row, column) {
  const line = lines[row] ?? "";
  if (blocks[row] || (withoutComment(line).length < column && line.includes("#"))) return null;
  const open = openAt(line, column);
  const pair = pairOf(line);
  const levels = levelsAbove(lines, blocks, row, pair || line.trim() ? keyIndent(line) : Math.min(column, Math.max(indentOf(line), column)));
  if (open.length) return inBrackets(line, column, open, pair, levels);
  const own = { name: pair?.name ?? null, beside: besides(lines, blocks, row, keyIndent(line)) };
  if (pair && column > pair.colon) {
    const from = pair.colon + 1 + (line.slice(pair.colon + 1, column).length - line.slice(pair.colon + 1, column).trimStart().length);
    return { levels: [...levels, own], mode: "value", name: pair.name, from, prefix: line.slice(from, column) };
  }
  const from = Math.min(column, keyIndent(line));
  const isEntry = line.slice(indentOf(line)).startsWith("-");
  const prefix = line.slice(from, column);
  return { levels: [...levels, own], mode: "name", name: pair?.name ?? null, from, prefix, isEntry: isEntry && !pair };
}

function inBrackets(line, column, open, pair, above) {
  const levels = [...above];
  if (pair && pair.colon < open[0].at) levels.push({ name: pair.name, beside: {} });
  for (const [number, one] of open.entries()) {
    if (number && one.name !== null) levels.push({ name: one.name, beside: open[number - 1].pairs });
    if (one.sign === "[") levels.push({ name: null, isList: true, beside: {} });
  }
  const top = open.at(-1);
  const text = line.slice(top.begun, column);
  const lead = text.length - text.trimStart().length;
  const rest = text.trimStart();
  const colon = top.sign === "{" ? rest.indexOf(":") : -1;
  const pairs = { ...top.pairs, ...pairsBehind(line, column) };
  if (top.sign === "[") return { levels, mode: "value", name: null, from: top.begun + lead, prefix: rest };
  if (colon < 0) return { levels: [...levels, { name: null, beside: pairs }], mode: "name", name: rest, from: top.begun + lead, prefix: rest };
  const name = unquoted(rest.slice(0, colon));
  const value = rest.slice(colon + 1);
  const gap = value.length - value.trimStart().length;
  const from = top.begun + lead + colon + 1 + gap;
  return { levels: [...levels, { name, beside: pairs }], mode: "value", name, from, prefix: value.trimStart() };
}

/** Names and texts in the same braces behind a place. */
function pairsBehind(line, column) {
  const end = line.indexOf("}", column);
  const found = {};
  for (const part of line.slice(column, end < 0 ? line.length : end).split(",").slice(1)) {
    const colon = part.indexOf(":");
    if (colon > 0) found[unquoted(part.slice(0, colon))] = unquoted(part.slice(colon + 1));
  }
  return found;
}

/** The levels above a line, by indents: of each the name, whether it is a list, and what is beside it. */
function levelsAbove(lines, blocks, row, indent) {
  const levels = [];
  let below = indent;
  const own = lines[row] ?? "";
  if (own.slice(indentOf(own)).startsWith("-") && keyIndent(own) >= below) {
    levels.unshift({ name: null, isList: true, beside: {} });
    below = indentOf(own) + 0.5; // a list may stand as far in as the name above it
  }
  for (let above = row - 1; above >= 0 && below > 0; above -= 1) {
    const line = lines[above];
    if (blocks[above] || line.trim() === "" || line.trimStart().startsWith("#")) continue;
    const begin = keyIndent(line);
    const dash = indentOf(line);
    const pair = pairOf(line);
    if (begin < below && pair) {
      levels.unshift({ name: pair.name, beside: besides(lines, blocks, above, begin) });
      below = begin;
    }
    if (line[dash] === "-" && dash < below) {
      levels.unshift({ name: null, isList: true, beside: {} });
      below = dash + 0.5;
    }
  }
  return levels;
}

/** The names and texts of the mapping that a line is in. */
function besides(lines, blocks, row, indent) {
  const found = {};
  const look = (at) => {
    const line = lines[at];
    if (blocks[at] || line.trim() === "" || line.trimStart().startsWith("#")) return true;
    const begin = keyIndent(line);
    if (begin < indent) return false;
    if (begin === indent) {
      const pair = pairOf(line);
      if (pair && !(pair.name in found)) found[pair.name] = pair.value;
    }
    return true;
  };
  const isEntry = (at) => indentOf(lines[at]) < indent && lines[at].trimStart().startsWith("-") && keyIndent(lines[at]) === indent;
  for (let at = row; at >= 0 && look(at); at -= 1) if (isEntry(at)) break;
  for (let at = row + 1; at < lines.length && !isEntry(at) && look(at); at += 1);
  return found;
}

// The values of fields, to choose rows by.

import { element, getJson } from "/static/shared.js";

const SHOWN = 8;
const FINDS_FROM = 15;

export class Facets {
  /**
   * @param {HTMLElement} list where they are shown
   * @param {object} options
   *   chosen(id): the set of values that are chosen in a field
   *   toggled(id, value, isChosen): a value was chosen, or is no longer
   *   address(parameters): of more values
   */
  constructor(list, { chosen, toggled, address }) {
    this.list = list;
    this.chosen = chosen;
    this.toggled = toggled;
    this.address = address;
    this.fields = new Map(); // by id: its section and what is open in it
  }

  /** Shows facets as they are now. What has the focus stays where it is. */
  show(facets) {
    const telling = facets.filter((facet) => !facet.isMany && (facet.num > 1 || this.chosen(facet.id).size));
    const same = facets.filter((facet) => !facet.isMany && !telling.includes(facet) && facet.num === 1);
    const many = facets.filter((facet) => facet.isMany);
    for (const [id, field] of this.fields) {
      if (!telling.some((facet) => facet.id === id)) {
        field.section.remove();
        this.fields.delete(id);
      }
    }
    telling.forEach((facet, at) => {
      const field = this.fields.get(facet.id) ?? this.#field(facet);
      field.facet = facet;
      this.#fill(field);
      if (this.list.children[at] !== field.section) this.list.insertBefore(field.section, this.list.children[at] ?? null);
    });
    this.list.querySelectorAll(".facet-rest").forEach((rest) => rest.remove());
    if (same.length) {
      const told = same.map((facet) => element("li", {}, `${facet.name}: `, element("bdi", {}, facet.values[0].shown)));
      this.list.append(element("div", { class: "facet-rest soft" }, element("h2", {}, "The same in all rows"), element("ul", {}, ...told)));
    }
    if (many.length) {
      const told = many.map((facet) => element("li", {}, facet.name));
      this.list.append(element("div", { class: "facet-rest soft" }, element("h2", {}, "Too many values to choose from"), element("ul", {}, ...told)));
    }
  }

  #field(facet) {
    const field = { facet, isOpen: false, found: null };
    field.values = element("div", { class: "facet-values" });
    field.more = element("button", { type: "button", class: "facet-more", onclick: () => this.#open(field) });
    field.find = element("input", {
      type: "search",
      "aria-label": `Find a value of ${facet.name}`,
      placeholder: "Find a value",
      autocomplete: "off",
      oninput: () => this.#search(field),
    });
    field.section = element("fieldset", { class: "facet" }, element("legend", {}, facet.name), field.find, field.values, field.more);
    this.fields.set(facet.id, field);
    return field;
  }

  #open(field) {
    field.isOpen = !field.isOpen;
    this.#fill(field);
  }

  async #search(field) {
    const find = field.find.value;
    if (!find) {
      field.found = null;
      this.#fill(field);
      return;
    }
    const found = await getJson(this.address({ field: field.facet.id, find }));
    if (field.find.value === find) {
      field.found = found;
      this.#fill(field);
    }
  }

  #fill(field) {
    const { facet } = field;
    const chosen = this.chosen(facet.id);
    const source = field.found ?? facet;
    let values = source.values;
    if (!field.isOpen && !field.found) values = values.filter((one, at) => at < SHOWN || chosen.has(one.value));
    field.find.hidden = facet.num < FINDS_FROM;
    const known = new Map([...field.values.children].map((label) => [label.value, label]));
    const labels = values.map((one) => {
      const label = known.get(one.value) ?? this.#value(field, one);
      label.box.checked = chosen.has(one.value);
      label.count.textContent = one.rows.toLocaleString("en");
      label.classList.toggle("none", !one.rows);
      return label;
    });
    const isSame = labels.length === field.values.children.length && labels.every((label, at) => field.values.children[at] === label);
    // Their order is not changed below somebody's pointer.
    const isUsed = field.section.contains(document.activeElement) || field.section.matches(":hover");
    const isAdded = labels.some((label) => !label.isConnected) || labels.length !== field.values.children.length;
    if (!isSame && (isAdded || !isUsed)) {
      const focused = document.activeElement;
      field.values.replaceChildren(...labels);
      if (focused !== document.activeElement && focused.isConnected) focused.focus();
    }
    const left = facet.num - Math.min(SHOWN, facet.num);
    field.more.hidden = field.found !== null || left <= 0;
    const shown = facet.values.length < facet.num ? `the first ${facet.values.length}` : `all ${facet.num.toLocaleString("en")}`;
    field.more.textContent = field.isOpen ? "Show fewer" : `Show ${shown}`;
    field.more.setAttribute("aria-expanded", String(field.isOpen));
  }

  #value(field, one) {
    const box = element("input", { type: "checkbox", onchange: () => this.toggled(field.facet.id, one.value, box.checked) });
    const count = element("span", { class: "facet-count" });
    const label = element("label", { title: one.shown }, box, element("bdi", { class: "facet-value" }, one.shown), count);
    Object.assign(label, { value: one.value, box, count });
    return label;
  }
}

// What a JSON Schema says of a place in a config: its fields, values and meanings.

const DEEPEST = 30;

export class Schema {
  /** @param {object} schema of configs of one kind, as `datafast schema KIND` prints it. */
  constructor(schema) {
    this.root = schema;
  }

  /** The schemas that a mapping or a value at some levels may have. The last level is the one that the place is in. */
  mappingsAt(levels) {
    let found = [this.root];
    for (const [number, level] of levels.entries()) {
      if (level.isList) {
        found = found.flatMap((one) => this.flat(one)).flatMap((one) => (one.items ? [one.items] : []));
        continue;
      }
      const fitting = this.fitting(found, level.beside);
      if (number === levels.length - 1) return fitting;
      found = level.name === null ? fitting : fitting.flatMap((one) => this.below(one, level.name));
    }
    return found.flatMap((one) => this.flat(one));
  }

  /** The schemas of the field that the last level names. */
  valuesAt(levels) {
    const name = levels.at(-1)?.name;
    if (levels.at(-1)?.isList) return this.mappingsAt(levels);
    return name ? this.mappingsAt(levels).flatMap((one) => this.below(one, name)) : [];
  }

  below(schema, name) {
    const named = schema.properties && Object.hasOwn(schema.properties, name) ? schema.properties[name] : null;
    const other = typeof schema.additionalProperties === "object" ? schema.additionalProperties : null;
    return named || other ? [named || other] : [];
  }

  /** The alternatives of some schemas that do not contradict what stands beside. */
  fitting(schemas, beside) {
    return schemas.flatMap((one) => this.flat(one)).filter((one) =>
      Object.entries(one.properties ?? {}).every(([name, its]) => {
        const given = beside[name];
        const values = its.const !== undefined ? [its.const] : null;
        return !values || given === undefined || given === "" || values.map(String).includes(given);
      }),
    );
  }

  /** A schema without references and alternatives: what it may be. */
  flat(schema, depth = 0) {
    if (!schema || typeof schema !== "object" || depth > DEEPEST) return [];
    if (schema.$ref) {
      const { $ref, ...own } = schema;
      return this.flat(this.root.$defs?.[$ref.split("/").at(-1)], depth + 1).map((one) => ({ ...one, ...own }));
    }
    const others = schema.anyOf ?? schema.oneOf ?? schema.allOf;
    if (!others) return [schema];
    const { anyOf, oneOf, allOf, properties, required, ...own } = schema;
    delete own.title;
    return others.flatMap((one) => this.flat(one, depth + 1)).map((one) => ({ ...own, ...one, description: own.description ?? one.description }));
  }

  /** The names that may stand at a place, each with what it means. */
  names(levels) {
    const found = new Map();
    const beside = levels.at(-1)?.beside ?? {};
    for (const one of this.mappingsAt(levels)) {
      for (const [name, its] of Object.entries(one.properties ?? {})) {
        if (!found.has(name)) found.set(name, { text: name, about: this.about(its), needed: (one.required ?? []).includes(name), given: name in beside });
      }
    }
    return [...found.values()];
  }

  /** The values that may stand at a place, each with what it means. */
  values(levels) {
    const found = new Map();
    const add = (value, about) => value !== null && !found.has(String(value)) && found.set(String(value), { text: String(value), about });
    const last = levels.at(-1);
    const owners = last?.isList ? [] : this.mappingsAt([...levels.slice(0, -1), { ...last, beside: { ...last.beside, [last.name]: "" } }]);
    // The value that tells alternatives apart means what the alternative means.
    for (const owner of owners) if (owner.properties?.[last.name]?.const !== undefined) add(owner.properties[last.name].const, owner.description ?? "");
    for (const one of this.valuesAt(levels).flatMap((value) => this.flat(value))) {
      const listed = one.const !== undefined ? [one.const] : (one.enum ?? (one.type === "boolean" ? [true, false] : []));
      for (const value of listed) add(value, "");
    }
    return [...found.values()];
  }

  /** What a field means, in its own words. */
  meaning(levels) {
    const name = levels.at(-1)?.name;
    const found = this.valuesAt(levels);
    if (!name || !found.length) return null;
    const kinds = found.filter((one) => one.const !== undefined);
    if (kinds.length > 1) return { name, about: "It says which of these is meant.", is: this.shapes(found) };
    if (kinds.length === 1) return { name, about: this.mappingsAt(levels)[0].description ?? "", is: this.shapes(found) };
    return { name, about: this.about(found[0]), is: this.shapes(found), default: found[0].default };
  }

  about(schema) {
    return schema?.description ?? this.flat(schema).find((one) => one.description)?.description ?? "";
  }

  /** What a value may be, in words. */
  shapes(schemas) {
    const told = schemas.flatMap((one) => this.flat(one)).map((one) => {
      if (one.const !== undefined) return String(one.const);
      if (one.enum) return one.enum.map(String).join(", ");
      return { string: "text", integer: "whole number", number: "number", boolean: "true or false", array: "list", object: "mapping", null: "nothing" }[one.type] ?? "";
    });
    return [...new Set(told.filter(Boolean))].slice(0, 24).join(" | ");
  }
}

// Checks an order form against its definition (data/forms/*.toml), with the codes and the order of ordering/form.py;
// tests/vectors/form-*.json hold both to the same answers. Pure. The server has the last word on number plans and mail addresses.

import { line, lines, number } from "../shared/text.js";

// Something with an @ and a dot in the domain, in any script; libraries of the server know the rest.
const EMAIL =
  /^[^\s@"(),:;<>[\]\\]{1,64}@[\p{L}\p{M}\p{N}](?:[\p{L}\p{M}\p{N}-]*\.)+[\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}]$/u;
const CHECKED = "yes"; // what a checkbox that is checked sends
const INTEGER = /^([+-]?)([0-9]+|[0-9]{1,3}(?:[. ][0-9]{3})+)[.,]?$/;
const HOME = "nl";

const CALLING_CODE = { nl: "+31", be: "+32" };

const bare = (text) =>
  number(text)
    .replaceAll("(0)", "")
    .replace(/[ ./()-]/g, "");

/** A Belgian enterprise number: the last two of its ten digits check the others. */
function isKbo(text) {
  const digits = text.replace(/^BE/i, "").padStart(10, "0");
  return /^[01][0-9]{9}$/.test(digits) && 97 - (Number(digits.slice(0, 8)) % 97) === Number(digits.slice(8));
}

const valid = {
  text: () => true,
  textarea: () => true,
  email: (text) => EMAIL.test(text.replace(/^mailto:/, "")),
  "enterprise-number": (text, _field, country) =>
    country === "be" ? isKbo(bare(text)) : /^[0-9]{8}$/.test(bare(text)),
  "area-code": (text) => /^0[1-9][0-9]{0,3}$/.test(bare(text)),
  choice: (text, field) => field.option.some(({ value }) => value === text),
  checkbox: (text) => text === CHECKED,
  tel: (text) => /^\+?[0-9]{8,15}$/.test(bare(text)),
};

/** Whether a telephone number with a country code is of another country; one without is of the country chosen. */
function isOfAnother(country, text) {
  const dialled = bare(text).replace(/^00/, "+");
  return dialled.startsWith("+") && !dialled.startsWith(CALLING_CODE[country]);
}

/** The whole number that a visitor typed ("5", " 5 ", "1.000"), or null. */
export function integer(text) {
  const match = INTEGER.exec(number(text));
  return match ? Number(match[1] + match[2].replace(/[. ]/g, "")) : null;
}

/** Whether a field is asked at all, given the values of the others. */
export function isAsked(field, values) {
  const condition = field.required_when;
  return condition === undefined || line(String(values[condition.field] ?? "")) === condition.value;
}

/** The code of a field's first fault, or null when there is none. */
function fault(field, value, country) {
  const text = (field.type === "textarea" ? lines(value) : line(value)) || (field.default ?? "");
  if (text === "") return field.required || field.required_when ? "missing" : null;
  if ([...text].length > field.max_length) return "too_long";
  if (field.pattern !== undefined && !new RegExp(`^(?:${field.pattern})$`, "u").test(text)) return "invalid";
  if (field.type !== "integer") {
    if (!valid[field.type](text, field, country)) return "invalid";
    return field.of_country && isOfAnother(country, text) ? "other_country" : null;
  }
  const whole = integer(text);
  if (whole === null) return "not_integer";
  if (whole < field.min) return "too_small";
  if (whole > field.max) return "too_large";
  return null;
}

/** The faults of a filled-in form: [{field, code, message}] in the order of its fields. */
export function check(definition, values) {
  const countries = definition.field.find(({ name }) => name === "country")?.option ?? [];
  const chosen = line(String(values.country ?? ""));
  const country = countries.some(({ value }) => value === chosen) ? chosen : HOME;
  return definition.field.flatMap((field) => {
    if (!isAsked(field, values)) return [];
    const value = String(values[field.name] ?? "");
    const code = fault(field, value, country);
    return code === null
      ? []
      : [{ field: field.name, code, message: field.messages[code].replaceAll("{value}", value) }];
  });
}

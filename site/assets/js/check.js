// Checks an order form against its definition (data/forms/*.toml), with the codes and the order of ordering/form.py;
// tests/vectors/form-*.json hold both to the same answers. Pure. The server has the last word on telephone numbers.

const LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
// A valid e-mail address as the HTML standard has it, with at least one dot in the domain.
const EMAIL = new RegExp(`^[a-zA-Z0-9.!#$%&'*+/=?^_\`{|}~-]+@${LABEL}(?:\\.${LABEL})+$`);
const CHECKED = "yes"; // what a checkbox that is checked sends
const INTEGER = /^([+-]?)([0-9]+|[0-9]{1,3}(?:\.[0-9]{3})+)[.,]?$/;

const valid = {
  text: () => true,
  textarea: () => true,
  email: (text) => EMAIL.test(text.replace(/^mailto:/, "")),
  kvk: (text) => /^[0-9]{8}$/.test(text.replace(/[\s.-]/g, "")),
  choice: (text, field) => field.option.some(({ value }) => value === text),
  checkbox: (text) => text === CHECKED,
  tel: (text) => /^\+?[0-9]{8,15}$/.test(text.replaceAll("(0)", "").replace(/[\s./()-]/g, "")),
};

/** One line in Unicode's composed form, without control characters, with single spaces. */
export const tidy = (text) => text.normalize("NFC").replace(/\p{Cc}/gu, " ").split(/\s+/).filter(Boolean).join(" ");
const tidyLines = (text) => text.replace(/\r\n?/g, "\n").split("\n").map(tidy).join("\n").trim();

/** The whole number that a visitor typed ("5", " 5 ", "1.000"), or null. */
export function integer(text) {
  const match = INTEGER.exec(tidy(text));
  return match ? Number(match[1] + match[2].replaceAll(".", "")) : null;
}

/** Whether a field must be filled in, given the values of the others. */
export function isRequired(field, values) {
  const condition = field.required_when;
  return field.required || (condition !== undefined && tidy(String(values[condition.field] ?? "")) === condition.value);
}

/** The code of a field's first fault, or null when there is none. */
function fault(field, value, required) {
  const text = field.type === "textarea" ? tidyLines(value) : tidy(value);
  if (text === "") return required ? "missing" : null;
  if ([...text].length > field.max_length) return "too_long";
  if (field.pattern !== undefined && !new RegExp(`^(?:${field.pattern})$`, "u").test(text)) return "invalid";
  if (field.type !== "integer") return valid[field.type](text, field) ? null : "invalid";
  const number = integer(text);
  if (number === null) return "not_integer";
  if (number < field.min) return "too_small";
  if (number > field.max) return "too_large";
  return null;
}

/** The faults of a filled-in form: [{field, code, message}] in the order of its fields. */
export function check(definition, values) {
  return definition.field.flatMap((field) => {
    const value = String(values[field.name] ?? "");
    const code = fault(field, value, isRequired(field, values));
    return code === null ? [] : [{ field: field.name, code, message: field.messages[code].replaceAll("{value}", value) }];
  });
}

// Integer euro cents, computed as ordering/pricing.py computes them.

const language = globalThis.document?.documentElement.lang ?? "nl-NL";
const format = new Intl.NumberFormat(language, { style: "currency", currency: "EUR" });

/** Cents as "€ 10,00", with a no-break space; "€10.00" on an English page. */
export const euro = (cents) => format.format(cents / 100);

/** Cents including VAT, half a cent rounded up. */
export const includingVat = (cents, percent) => cents + Math.floor((cents * percent + 50) / 100);

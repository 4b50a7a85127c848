// Moments as a Dutch reader expects them, in Dutch time.

const zone = "Europe/Amsterdam";
const day = new Intl.DateTimeFormat("nl-NL", { dateStyle: "long", timeZone: zone });
const clock = new Intl.DateTimeFormat("nl-NL", { timeStyle: "short", timeZone: zone });

/** A moment as "18.05 uur". */
export const hour = (moment) => `${clock.format(moment).replace(":", ".")} uur`;

/** An ISO moment as "21 november 2026 om 18.05 uur". */
export function when(iso) {
  const moment = new Date(iso);
  return `${day.format(moment)} om ${hour(moment)}`;
}

// Moments as a Dutch reader expects them, in Dutch time.

const zone = "Europe/Amsterdam";
const day = new Intl.DateTimeFormat("nl-NL", { dateStyle: "long", timeZone: zone });
const clock = new Intl.DateTimeFormat("nl-NL", { timeStyle: "short", timeZone: zone });

/** A moment as "18.05 uur". */
export const hour = (moment) => `${clock.format(moment).replace(":", ".")} uur`;

const short = new Intl.DateTimeFormat("nl-NL", { day: "numeric", month: "short", timeZone: zone });
const shortWithYear = new Intl.DateTimeFormat("nl-NL", {
  day: "numeric",
  month: "short",
  year: "numeric",
  timeZone: zone,
});
const year = new Intl.DateTimeFormat("nl-NL", { year: "numeric", timeZone: zone });

/** An ISO moment for a table, as "21 nov 18.05"; with the year when that is another one than now. */
export function briefly(iso) {
  const moment = new Date(iso);
  const date = year.format(moment) === year.format(new Date()) ? short : shortWithYear;
  return `${date.format(moment)} ${clock.format(moment).replace(":", ".")}`;
}

/** An ISO moment as "21 november 2026 om 18.05 uur". */
export function when(iso) {
  const moment = new Date(iso);
  return `${day.format(moment)} om ${hour(moment)}`;
}

// Firefox for tests/support/site/firefox.py, over WebDriver BiDi: one command a line comes in as JSON, one answer a line goes out.
// Arguments: where Firefox is, a folder for its profile, and "off" for a browser without JavaScript (BiDi evaluates all the same).

import { createInterface } from "node:readline";
import puppeteer from "puppeteer-core";

const [executablePath, userDataDir, scripts] = process.argv.slice(2);
const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath,
  userDataDir,
  headless: true,
  extraPrefsFirefox: { "intl.accept_languages": "nl-NL", "accessibility.tabfocus": 7, "focusmanager.testmode": true, "javascript.enabled": scripts !== "off" },
});
const page = await browser.newPage(); // the one that is there at the start never gets the focus
await page.setViewport({ width: 1280, height: 900 });

const commands = {
  goto: async ({ url }) => {
    await page.goto(url, { waitUntil: "load" });
    await page.bringToFront();
    return null;
  },
  press: ({ key }) => page.keyboard.press(key).then(() => null),
  chord: async ({ hold, key }) => {
    await page.keyboard.down(hold);
    await page.keyboard.press(key);
    await page.keyboard.up(hold);
    return null;
  },
  write: ({ text }) => page.keyboard.type(text).then(() => null),
  evaluate: ({ expression }) => page.evaluate(expression),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { name, ...rest } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ value: (await commands[name](rest)) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
}
await browser.close();

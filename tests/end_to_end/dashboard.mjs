// Opens nova's dashboard in Debian's Chromium and prints what a visitor sees, as JSON.
// Usage: node dashboard.mjs FOLDER_WITH_NODE_MODULES URL [FOLDER_FOR_SCREENSHOTS]
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [modules, url, pictures] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, 'package.json'))('playwright-core');
const executablePath = ['/usr/bin/chromium', '/usr/bin/google-chrome'].find(path => existsSync(path));

/** Texts whose contrast is below WCAG's 4.5 : 1. */
function faint() {
  const light = color => {
    const [r, g, b] = color.match(/[\d.]+/g).map(n => n / 255).map(c => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    const color = getComputedStyle(element).backgroundColor;
    return color === 'rgba(0, 0, 0, 0)' && element.parentElement ? behind(element.parentElement) : color;
  };
  return [...document.querySelectorAll('body *')]
    .filter(element => element.checkVisibility() && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
    .map(element => {
      const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      return ratio < 4.5 ? `faint: ${element.tagName} ${ratio.toFixed(2)} ${element.textContent.slice(0, 30)}` : null;
    })
    .filter(Boolean);
}

const complaints = [];
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' });
  const page = await context.newPage();
  page.on('console', message => { if (['error', 'warning'].includes(message.type())) complaints.push(`console: ${message.text()}`); });
  page.on('pageerror', error => complaints.push(`error: ${error.message}`));
  page.on('request', request => {
    if (!request.url().startsWith(url) && !request.url().startsWith('data:')) complaints.push(`request to ${request.url()}`);
  });
  const answer = await page.goto(url);
  if (!answer.headers()['content-security-policy']?.startsWith("default-src 'none'")) complaints.push('no Content-Security-Policy');
  await page.waitForSelector('#age[data-level=ok]', { timeout: 30_000 });
  // The next view comes by itself.
  const first = await page.evaluate('taken');
  await page.waitForFunction(first => taken > first, first, { timeout: 30_000 });
  const picture = async name => { if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true }); };
  const texts = selector => page.locator(selector).allTextContents();
  const fits = async name => {
    if (!await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)) complaints.push(`${name}: scrolls sideways`);
    complaints.push(...(await page.evaluate(faint)).map(text => `${name}: ${text}`));
  };
  const seen = {
    verdict: await page.textContent('#verdict'),
    nodes: await texts('.node h3'),
    hops: await texts('.hop b'),
    streams: await texts('#streams h3'),
    bars: await page.locator('.bars rect').count(),
    workers: await texts('#workers h3'),
    letters: await texts('#letters li'),
    jobs: await texts('#jobs li'),
    cells: await page.locator('.map rect').count(),
    runs: await page.locator('.heat li').count(),
  };
  await fits('light');
  await picture('dashboard-light');
  const light = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: 'dark' });
  if (light === await page.evaluate(() => getComputedStyle(document.body).backgroundColor)) complaints.push('dark is as light');
  await fits('dark');
  await picture('dashboard-dark');
  await page.setViewportSize({ width: 390, height: 844 });
  await fits('phone');
  await picture('dashboard-phone');
  // A picture that nobody renews is shown as old.
  await page.evaluate('taken -= 60000, age()');
  if (!/not heard of/.test(await page.textContent('#age'))) complaints.push('an old picture looks new');
  console.log(JSON.stringify({ ...seen, complaints }));
} finally {
  await browser.close();
}

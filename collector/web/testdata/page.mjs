// Looks at the page of exporters in headless Chromium, checks what it says, and takes pictures of it: light, dark and narrow.
//   node page.mjs URL DIR
// DIR has node_modules with playwright-core, and gets the pictures.
import assert from "node:assert/strict";
import { inEveryLook, open, picture } from "../webtest/browser.mjs";

const [url, dir] = process.argv.slice(2);
const { browser, page, complaints } = await open(url, dir);
try {
	await inEveryLook(page, async (name) => {
		const answer = await page.goto(`${url}/exporters?refresh=0`, { waitUntil: "networkidle" });
		assert.equal(answer.status(), 200);
		await picture(page, dir, name);
	});

	const verdicts = {};
	for (const body of await page.locator("table.exporters tbody").all()) {
		const exporter = (await body.locator("th").innerText()).split(/\s/)[0];
		verdicts[exporter] = await body.locator(".verdicts .text").allInnerTexts();
	}
	console.log(verdicts);
	const said = (exporter, ...patterns) => {
		assert.equal(verdicts[exporter].length, patterns.length, `verdicts on ${exporter}`);
		patterns.forEach((pattern, i) => assert.match(verdicts[exporter][i], pattern));
	};
	said("core1");
	said("border1");
	said("switch1", /^agent address 198\.51\.100\.31 differs from source 127\.0\.0\.13$/);
	said("old1",
		/^no template 260 from domain 3 since \d\d:\d\d: \d+ data sets could not be read$/,
		/^1[123] % of its datagrams are missing by sequence number/,
		/^clock 62 minutes ahead$/,
		/^\d+ data sets? lost for want of a template in the last/,
		/^interface 512 not in meta_interface$/,
		/^options never seen: sampling assumed 1$/);

	assert.match(await page.locator("header .state").innerText(), /ready/);
	assert.ok(Number((await page.locator(".number").innerText()).replace(/\D/g, "")) > 100, "flows per second");
	assert.ok((await page.locator(".spark .line").getAttribute("d")).length > 20, "the line of the last hour");
	for (const [title, entry] of [["Source AS", /UNI-A/], ["Destination AS", /UNI-A/], ["Interfaces", /core1::to-border/]]) {
		const table = page.locator(".top table", { hasText: title });
		assert.match(await table.first().innerText(), entry);
	}
	// A row that says "nothing" begins below the head of its column.
	const indents = await page.locator(".top table").first().evaluate((table) => {
		table.tBodies[0].innerHTML = '<tr><td colspan="3" class="small nothing">nothing yet</td></tr>';
		return [table.tHead.rows[0].cells[0], table.tBodies[0].rows[0].cells[0]].map((cell) => getComputedStyle(cell).paddingLeft);
	});
	assert.equal(indents[1], indents[0], "indent of an empty table");
	await page.goto(`${url}/exporters`);
	assert.equal(await page.locator('meta[http-equiv="refresh"]').count(), 1);
	assert.deepEqual(complaints, []);
	console.log("the page is right");
} finally {
	await browser.close();
}

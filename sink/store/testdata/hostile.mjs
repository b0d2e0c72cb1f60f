// Opens pages of other sites in headless Chromium that try to have the browser read, write and run things in a store on this host.
//   node hostile.mjs STORE EVIL DIR STATEMENTS
// STORE is the store's URL, EVIL that of a server of the attacker's, which serves any page, DIR has node_modules with playwright-core,
// STATEMENTS is a JSON file with the SQL to try. It prints what the pages could read, as JSON lines; the test looks at the store.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [store, evil, dir, file] = process.argv.slice(2);
const statements = JSON.parse(readFileSync(file, "utf8"));
const { chromium } = createRequire(join(dir, "node_modules", "x.js"))("playwright-core");
const profile = mkdtempSync(join(tmpdir(), "hostile-"));
const port = new URL(store).port;
const context = await chromium.launchPersistentContext(profile, {
	executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
	args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-features=LocalNetworkAccessChecks",
		"--host-resolver-rules=MAP evil.example 127.0.0.1, MAP rebound.example 127.0.0.1"],
});
const say = (what, value) => console.log(JSON.stringify({ what, value }));

// attack runs in a page. It tries every way of sending each statement to base, and returns the answers that it could read.
const attack = async ({ base, statements }) => {
	const read = [];
	const url = (sql) => `${base}/?query=${encodeURIComponent(sql)}`;
	const until = (element, name) => new Promise((done) => {
		element.onload = () => done(name);
		element.onerror = () => done(null);
		setTimeout(done, 3000, null);
	});
	for (const sql of statements) {
		for (const [tag, source] of [["img", "src"], ["script", "src"], ["iframe", "src"], ["link", "href"], ["video", "src"]]) {
			const element = document.createElement(tag);
			if (tag === "link") element.rel = "stylesheet";
			const done = tag === "video" ? Promise.resolve() : until(element, tag);
			element[source] = url(sql);
			document.body.append(element);
			await done;
			try {
				if (tag === "iframe") read.push(element.contentDocument.body.innerText);
			} catch { /* of another site: not readable */ }
		}
		for (const options of [
			{ mode: "no-cors" }, { mode: "cors" }, { mode: "no-cors", method: "POST", body: sql }, { mode: "cors", method: "POST", body: sql },
			{ mode: "cors", method: "POST", body: sql, headers: { "X-ClickHouse-User": "default" } },
			{ mode: "no-cors", method: "POST", body: sql, credentials: "include", headers: { "Content-Type": "text/plain" } },
		]) {
			try {
				const answer = await fetch(options.method ? base + "/" : url(sql), options);
				read.push(await answer.text());
			} catch { /* refused by the browser */ }
		}
		navigator.sendBeacon(base + "/", sql);
		// Ways of a page that ask without an element or fetch, or by one that the browser treats differently.
		const style = document.createElement("style");
		style.textContent = `@import url("${url(sql)}"); @font-face { font-family: f; src: url("${url(sql)}") } `
			+ `body { font-family: f; background: url("${url(sql)}"); cursor: url("${url(sql)}"), auto }`;
		document.head.append(style);
		for (const rel of ["prefetch", "preload", "modulepreload", "icon", "manifest"]) {
			const link = document.createElement("link");
			Object.assign(link, { rel, href: url(sql), as: "script", crossOrigin: "use-credentials" });
			document.head.append(link);
		}
		for (const [tag, source, more] of [["object", "data"], ["embed", "src"], ["audio", "src"], ["script", "src", { type: "module" }],
			["img", "src", { crossOrigin: "anonymous" }], ["img", "src", { referrerPolicy: "no-referrer" }]]) {
			document.body.append(Object.assign(document.createElement(tag), more, { [source]: url(sql) }));
		}
		const named = document.createElement("iframe"); // its origin is "null"
		Object.assign(named, { sandbox: "allow-scripts allow-forms", srcdoc: `<img src="${url(sql)}"><script>
			fetch(${JSON.stringify(base + "/")}, { method: "POST", mode: "no-cors", body: ${JSON.stringify(sql)} })</` + `script>` });
		document.body.append(named);
		await new Promise((done) => {
			const events = new EventSource(url(sql));
			events.onmessage = (event) => read.push(event.data);
			events.onerror = () => { events.close(); done(); };
			setTimeout(done, 2000);
		});
		await new Promise((done) => {
			try {
				const socket = new WebSocket(url(sql).replace("http", "ws"));
				socket.onopen = () => { read.push("a WebSocket is open"); socket.send(sql); done(); };
				socket.onmessage = (event) => read.push(event.data);
				socket.onerror = done;
			} catch { done(); }
			setTimeout(done, 2000);
		});
		for (const options of [
			{ mode: "cors", method: "PUT", body: sql }, { mode: "cors", method: "PATCH", body: sql }, { mode: "cors", method: "DELETE" },
			{ mode: "cors", targetAddressSpace: "loopback" }, { mode: "no-cors", keepalive: true, method: "POST", body: sql },
			{ mode: "cors", headers: { "X-HTTP-Method-Override": "POST", "X-Forwarded-Host": "localhost" } },
			{ mode: "no-cors", referrerPolicy: "no-referrer", method: "POST", body: new URLSearchParams({ query: sql }) },
			{ mode: "cors", method: "POST", body: new Blob([sql], { type: "" }) },
		]) {
			try {
				read.push(await (await fetch(url(sql), options)).text());
			} catch { /* refused by the browser */ }
		}
		const target = document.createElement("iframe");
		target.name = `f${Math.random()}`;
		const form = document.createElement("form");
		Object.assign(form, { method: "POST", action: base + "/", enctype: "text/plain", target: target.name });
		const field = document.createElement("input"); // the body is "name=value": a statement with a comment around the "="
		Object.assign(field, { type: "hidden", name: sql + " /*", value: "*/" });
		form.append(field);
		document.body.append(target, form);
		const sent = until(target, "form");
		form.submit();
		await sent;
	}
	return read.filter((text) => text);
};

try {
	const page = await context.newPage();
	// What a user types is answered: the store can be reached from this browser.
	const typed = await page.goto(`${store}/?query=${encodeURIComponent("SELECT 'typed by the user' FORMAT JSON")}`);
	say("typed", await typed.text());

	await page.goto(`${evil.replace("127.0.0.1", "evil.example")}/page.html`);
	for (const base of [store, store.replace("127.0.0.1", "localhost")]) {
		say("foreign page", await page.evaluate(attack, { base, statements }));
	}
	// A link or a redirect that leads to the store.
	for (const sql of statements) {
		await page.goto(`${evil.replace("127.0.0.1", "evil.example")}/page.html`);
		await page.evaluate((target) => { location.href = target; }, `${store}/?query=${encodeURIComponent(sql)}`);
		await page.waitForLoadState("load");
		await page.waitForTimeout(200);
		say("navigation", await page.evaluate(() => document.body.innerText).catch(() => ""));
	}

	// The same from a page without a site of its own.
	await page.goto("data:text/html,<body>nobody's");
	say("page without a site", await page.evaluate(attack, { base: store, statements }));
	// Another name of this host that an attacker may give: IPv6, mapped, with a dot.
	await page.goto(`${evil.replace("127.0.0.1", "evil.example")}/page.html`);
	for (const name of ["localhost.", "[::1]", "[::ffff:7f00:1]", "127.1", "rebound.example."]) {
		say(name, await page.evaluate(attack, { base: store.replace("127.0.0.1", name), statements: statements.slice(0, 1) }));
	}

	// A rebound name: the page came from the attacker's server, and the same name and port lead to the store from now on.
	const rebound = `http://rebound.example:${port}`;
	await page.route(`${rebound}/page.html`, (route) => route.fulfill({ contentType: "text/html", body: "<body>rebound" }));
	await page.goto(`${rebound}/page.html`);
	say("rebound name", await page.evaluate(attack, { base: rebound, statements }));
} finally {
	await context.close();
	rmSync(profile, { recursive: true, force: true });
}

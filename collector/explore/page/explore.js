// What the page does beyond HTML: completion of the filter, and a cursor in graphs. Without it all works by links and
// forms. It asks the collector alone, for suggestions.
"use strict";

// A debounced request for suggestions; an answer that is too late is dropped.
function asker(address) {
	let timer, controller;
	return (text, at, then) => {
		clearTimeout(timer);
		controller?.abort();
		timer = setTimeout(async () => {
			controller = new AbortController();
			try {
				const query = new URLSearchParams({ filter: text, at: new TextEncoder().encode(text.slice(0, at)).length });
				const answer = await fetch(`${address}?${query}`, { signal: controller.signal });
				then(answer.ok ? await answer.json() : []);
			} catch { /* a newer one is on its way, or the collector is gone */ }
		}, 120);
	};
}

// utf16 is the place in a text of JavaScript that an offset in bytes of UTF-8 stands for.
function utf16(text, bytes) {
	return new TextDecoder().decode(new TextEncoder().encode(text).slice(0, bytes)).length;
}

// A list of suggestions below the field, as the ARIA pattern "combobox" has it.
function complete(input) {
	input.removeAttribute("list"); // it and the button are for pages without a script
	document.querySelector("button[formaction=suggest]")?.remove();
	const box = document.createElement("ul");
	box.id = "suggestions";
	box.setAttribute("role", "listbox");
	box.setAttribute("aria-label", "suggestions");
	box.hidden = true;
	input.after(box);
	for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": box.id,
		"aria-expanded": "false", autocomplete: "off" })) input.setAttribute(name, value);
	const ask = asker("suggest.json");
	let list = [], chosen = -1;
	const close = () => {
		list = [];
		show();
	};
	const choose = (i) => {
		const s = list[i];
		input.value = s.filter;
		const at = utf16(s.filter, s.at);
		input.setSelectionRange(at, at);
		input.focus();
		close();
		if (s.open) suggest();
	};
	function show() {
		chosen = -1;
		box.replaceChildren(...list.map((s, i) => {
			const item = document.createElement("li");
			item.id = `suggestion-${i}`;
			item.setAttribute("role", "option");
			const code = document.createElement("code");
			code.textContent = s.text;
			item.append(code, " ", s.note);
			item.addEventListener("pointerdown", (e) => { e.preventDefault(); choose(i); });
			return item;
		}));
		mark();
	}
	function mark() {
		box.hidden = list.length === 0;
		input.setAttribute("aria-expanded", String(!box.hidden));
		[...box.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === chosen)));
		if (chosen < 0) input.removeAttribute("aria-activedescendant");
		else {
			input.setAttribute("aria-activedescendant", box.children[chosen].id);
			box.children[chosen].scrollIntoView({ block: "nearest" });
		}
	}
	function suggest() {
		const text = input.value;
		ask(text, input.selectionStart, (found) => {
			if (document.activeElement !== input || input.value !== text) return;
			list = found;
			show();
		});
	}
	input.addEventListener("input", suggest);
	input.addEventListener("focus", suggest);
	input.addEventListener("click", suggest);
	input.addEventListener("blur", close);
	input.addEventListener("keydown", (e) => {
		if (e.key === "Escape" && list.length) close();
		else if (e.key === "ArrowDown" && list.length) chosen = (chosen + 1) % list.length;
		else if (e.key === "ArrowUp" && list.length) chosen = (chosen <= 0 ? list.length : chosen) - 1;
		else if ((e.key === "Enter" || e.key === "Tab") && chosen >= 0) choose(chosen);
		else return;
		e.preventDefault();
		mark();
	});
}

// si writes a rate as the page does.
function si(v, unit) {
	for (const [power, sign] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
		if (Math.abs(v) >= power) return `${(v / power).toPrecision(3)} ${sign}${unit.trim()}`;
	}
	return `${Number(v.toPrecision(3))} ${unit.trim()}`.trim();
}

// A cursor that says what a graph has at a time, and leads to a stretch of it that is marked.
function graph(chart) {
	const data = JSON.parse(chart.querySelector("script").textContent);
	const plot = chart.querySelector(".plot");
	const make = (name) => {
		const x = document.createElement("div");
		x.className = name;
		x.hidden = true;
		plot.append(x);
		return x;
	};
	const stretch = make("stretch"), pinned = make("cursor pinned"), cursor = make("cursor"), tip = make("tip");
	tip.setAttribute("role", "status");
	const last = Math.max(data.n - 1, 1);
	const format = new Intl.DateTimeFormat("en-GB", { timeZone: data.zone, day: "numeric", month: "short",
		hour: "2-digit", minute: "2-digit", second: data.step < 60 ? "2-digit" : undefined });
	const time = (i) => new Date((data.from + i * data.step) * 1000);
	const left = (i) => `${(100 * i) / last}%`;
	let at = -1, start = -1, pin = -1, dragged = false;

	const cell = (tag, text, parent, name = "") => {
		const x = document.createElement(tag);
		x.textContent = text;
		x.className = name;
		parent.append(x);
		return x;
	};
	// change is how much more it is than before.
	const change = (before, now) => before > 0 ? `${now >= before ? "+" : "−"}${Math.abs(100 * (now / before - 1)).toFixed(0)} %` : "";
	function tell() {
		const rate = (v) => si(v * data.scale, data.unit);
		tip.replaceChildren();
		const head = format.format(time(at)) + (data.partial && at === data.n - 1 ? ", not over" : "");
		cell("p", pin >= 0 && pin !== at ? `${head}, beside ${format.format(time(pin))}` : head, tip);
		const table = cell("table", "", tip);
		const row = (label, points, color) => {
			const line = cell("tr", "", table);
			const name = cell("th", "", line);
			if (color !== undefined) cell("span", "", name, `dot d${color}`);
			name.append(label);
			cell("td", rate(points[at] ?? 0), line);
			if (pin >= 0) cell("td", change(points[pin] ?? 0, points[at] ?? 0), line);
		};
		data.lines.map((line) => line).sort((a, b) => (b.points[at] ?? 0) - (a.points[at] ?? 0)).slice(0, 12)
			.forEach((line) => row(line.label, line.points, line.color));
		if (data.lines.length > 1) row("all", data.all, undefined);
		if (data.before) row(`the ${data.earlier} before`, data.before, undefined);
		for (const m of data.missing ?? []) if (m.points[at]) {
			const line = cell("tr", "", table, "lost");
			cell("th", `missing: ${m.label}`, line);
			cell("td", String(m.points[at]), line);
		}
	}
	function draw() {
		cursor.hidden = tip.hidden = at < 0;
		stretch.hidden = start < 0 || start === at;
		pinned.hidden = pin < 0;
		if (pin >= 0) pinned.style.left = left(pin);
		if (at < 0) return;
		cursor.style.left = left(at);
		tell();
		const right = at > last / 2;
		tip.style.left = right ? "auto" : `calc(${left(at)} + .6rem)`;
		tip.style.right = right ? `calc(${100 - (100 * at) / last}% + .6rem)` : "auto";
		if (start >= 0) {
			stretch.style.left = left(Math.min(start, at));
			stretch.style.width = left(Math.abs(at - start));
		}
	}
	const place = (e) => {
		const box = plot.getBoundingClientRect();
		return Math.round(Math.min(Math.max((e.clientX - box.left) / box.width, 0), 1) * last);
	};
	function zoom(a, b) {
		const address = new URL(data.address, document.baseURI);
		address.searchParams.set("from", time(Math.min(a, b)).toISOString());
		address.searchParams.set("to", time(Math.max(a, b) + 1).toISOString());
		location.assign(address);
	}
	// flows leads to the single flows of the time at the cursor, or of the stretch.
	function flows() {
		const address = new URL(data.address, document.baseURI), a = start < 0 ? at : start;
		address.searchParams.set("from", time(Math.min(a, at)).toISOString());
		address.searchParams.set("to", time(Math.max(a, at) + 1).toISOString());
		for (const name of ["by", "before", "step", "unit"]) address.searchParams.delete(name);
		address.searchParams.set("view", "flows");
		address.searchParams.set("top", "25");
		location.assign(address);
	}
	plot.addEventListener("dragstart", (e) => e.preventDefault()); // areas are links
	plot.addEventListener("pointerdown", (e) => {
		if (e.button !== 0 || e.pointerType === "touch") return;
		start = place(e);
		dragged = false;
	});
	plot.addEventListener("pointermove", (e) => {
		if (e.pointerType === "touch" && e.buttons === 0) return;
		at = place(e);
		if (start >= 0 && at !== start && !dragged) {
			dragged = true;
			plot.setPointerCapture(e.pointerId);
		}
		draw();
	});
	plot.addEventListener("pointerup", (e) => {
		const from = start, to = place(e);
		start = -1;
		if (dragged && from !== to) zoom(from, to);
	});
	plot.addEventListener("click", (e) => {
		if (dragged) e.preventDefault(); // the end of a stretch is no click on an area
		dragged = false;
	}, true);
	plot.addEventListener("pointerleave", () => {
		if (start >= 0) return;
		at = -1;
		draw();
	});
	plot.addEventListener("blur", () => { at = start = -1; draw(); });
	plot.addEventListener("keydown", (e) => {
		if (e.target !== plot) return;
		const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -data.n, End: data.n }[e.key];
		if (move !== undefined) {
			if (at < 0) at = move > 0 ? -1 : data.n;
			if (e.shiftKey && start < 0) start = Math.min(Math.max(at, 0), last);
			if (!e.shiftKey) start = -1;
			at = Math.min(Math.max(at + move, 0), data.n - 1);
		} else if (e.key === "Escape") at = start = pin = -1;
		else if (e.key.toLowerCase() === "f" && at >= 0) return flows();
		else if (e.key === "Enter" && at >= 0) return zoom(start < 0 ? at : start, at);
		else if (e.key === " " && at >= 0) pin = pin === at ? -1 : at;
		else if (e.key.toLowerCase() === "c" && at >= 0) pin = pin === at ? -1 : at;
		else return;
		e.preventDefault();
		draw();
	});
	plot.addEventListener("dblclick", () => { pin = pin === at ? -1 : at; draw(); });
	document.addEventListener("keydown", (e) => { // c while the mouse is over the graph
		if (document.activeElement === document.body && at >= 0) {
			if (e.key === "c") { pin = pin === at ? -1 : at; draw(); }
			if (e.key === "f") flows();
		}
		if (e.key === "Escape") { start = pin = -1; dragged = false; draw(); }
	});
	plot.tabIndex = 0;
	plot.setAttribute("aria-label", "Graph. Arrow keys move through time, with shift they select a range; enter zooms in, c compares with this time, f lists the flows of this time, escape ends.");
	plot.setAttribute("role", "group");
	cell("p", "drag: zoom in · c: compare other times with this one · f: list the flows of this time", chart, "hint small");
}

// While the store works on the next page, how far it is, and a button that ends it. The address of the page is what its
// progress is asked by.
function progress() {
	let box, timer, begun;
	const end = () => {
		clearInterval(timer);
		box?.remove();
		box = undefined;
	};
	const begin = (address) => {
		end();
		begun = Date.now();
		timer = setInterval(() => tell(address), 700);
	};
	async function tell(address) {
		if (!box) {
			box = document.createElement("p");
			box.className = "working";
			box.setAttribute("role", "status");
			const button = document.createElement("button");
			button.type = "button";
			button.textContent = "cancel";
			button.addEventListener("click", () => { window.stop(); end(); });
			box.append(document.createElement("span"), " ", button);
			document.body.append(box);
		}
		const seconds = `${Math.round((Date.now() - begun) / 1000)} s`;
		const text = box.firstChild;
		text.textContent ||= `The store is working, ${seconds}`;
		try {
			const answer = await fetch(`progress.json${address.search}`);
			const p = answer.status === 200 ? await answer.json() : {};
			const of = p.total > p.rows ? ` of ${si(p.total, "")}` : "";
			text.textContent = `The store is working, ${seconds}${p.rows ? `: ${si(p.rows, "")}${of} rows read` : ""}`;
		} catch { /* the next page has come */ }
	}
	document.addEventListener("submit", (e) => {
		if (!e.target.matches(".ask") || e.submitter?.hasAttribute("formaction")) return;
		begin(new URL(`?${new URLSearchParams(new FormData(e.target))}`, location));
	});
	document.addEventListener("click", (e) => {
		const a = e.target.closest?.("a[href]");
		if (!a || e.defaultPrevented || e.ctrlKey || e.metaKey || e.shiftKey || e.button !== 0) return;
		const address = new URL(a.href.baseVal ?? a.href, document.baseURI);
		if (/\/(explore|about)$/.test(address.pathname)) begin(address);
	});
	addEventListener("pagehide", end); // and the page may be shown again by going back
}

// The form takes "last" or "from" and "to": to choose one is to leave the other.
function times(form) {
	const last = form.elements.last, ends = [form.elements.from, form.elements.to];
	last.addEventListener("change", () => { if (last.value) for (const x of ends) x.value = ""; });
	for (const x of ends) {
		x.addEventListener("change", () => {
			if (!last.querySelector("option[value='']")) last.add(new Option("from … to", ""), 0);
			last.value = "";
		});
	}
}

// A link to the same page with the times of this device.
function localTimes(place) {
	const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
	if (!zone || document.querySelector(".ask [name=zone]").value === zone || place.parentElement.textContent.includes(zone)) return;
	const a = document.createElement("a");
	const address = new URL(location);
	address.searchParams.set("zone", zone);
	if (place.dataset.from) { // the same time, which the parameters have in another zone
		for (const name of ["at", "last", "from", "to"]) address.searchParams.delete(name);
		for (const [name, value] of Object.entries(place.dataset)) address.searchParams.set(name, value);
	}
	a.href = address;
	a.textContent = `${zone} (this device)`;
	place.append(" · ", a);
}

// The drawing as PNG, made here of the SVG.
function png(place) {
	const svg = [...document.querySelectorAll(".said a")].find((a) => a.textContent === "SVG");
	const button = document.createElement("button");
	button.type = "button";
	button.className = "plain";
	button.textContent = "PNG";
	button.addEventListener("click", async () => {
		const text = await (await fetch(svg.href)).text();
		const image = new Image();
		image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
		await image.decode();
		const canvas = document.createElement("canvas");
		canvas.width = 2 * image.naturalWidth;
		canvas.height = 2 * image.naturalHeight;
		canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
		const a = document.createElement("a");
		a.download = "explore.png";
		a.href = canvas.toDataURL("image/png");
		a.click();
	});
	place.append(", ", button);
}

for (const [selector, f] of [[".ask", times], ["#zone", localTimes], ["#png", png]]) {
	const x = document.querySelector(selector);
	if (x) f(x);
}
progress();
for (const input of document.querySelectorAll("input[name=filter]")) complete(input);
for (const chart of document.querySelectorAll(".chart:has(script)")) graph(chart);

"use strict";
/* The reader study: one slice at a time, in an order of the reader's own. What a slice is stands nowhere on this page. */
(() => {
  const box = document.getElementById("reader");
  if (!box) return;
  const told = JSON.parse(box.dataset.told);
  const part = (name) => document.getElementById("reader-" + name);
  const questions = part("questions");
  const canvas = part("slice");
  const place = "augment-mri reader study " + told.study;
  let file = "";
  let state = read();
  let order = state ? orderOf(state.seed) : [];

  /* What is kept: {reader, seed, answers, draft}. A browser may keep nothing for files; then it lives until the page goes. */
  function read() {
    try {
      const kept = JSON.parse(localStorage.getItem(place));
      return kept && Number.isInteger(kept.seed) && Array.isArray(kept.answers) ? kept : null;
    } catch {
      return null;
    }
  }

  function keep() {
    try {
      if (state) localStorage.setItem(place, JSON.stringify(state));
      else localStorage.removeItem(place);
    } catch {
      part("unkept").hidden = false;
    }
  }

  /* The order is a function of the seed: whoever types the same name again sees the slices in the same order. */
  function seedOf(name) {
    if (!name) return crypto.getRandomValues(new Uint32Array(1))[0];
    let hash = 2166136261; // FNV-1a
    for (const character of told.study + " " + name.toLowerCase()) {
      hash = Math.imul(hash ^ character.codePointAt(0), 16777619) >>> 0;
    }
    return hash;
  }

  function orderOf(seed) {
    let word = seed >>> 0;
    const below = (n) => { // mulberry32
      word = (word + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(word ^ (word >>> 15), word | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * n);
    };
    const places = told.names.map((_, i) => i);
    for (let i = places.length - 1; i > 0; i--) {
      const j = below(i + 1);
      [places[i], places[j]] = [places[j], places[i]];
    }
    return places;
  }

  const filled = (text, i) => text.replace("{i}", i).replace("{n}", told.names.length);

  function open(panel) {
    for (const name of ["start", "task", "paused", "end"]) part(name).hidden = name !== panel;
    document.body.classList.toggle("reading", panel === "task" || panel === "paused");
    part("invitation").hidden = panel !== "start";
    document.getElementById("reader-study").scrollIntoView({ behavior: "instant" });
  }

  function offer() {
    const answered = state ? state.answers.length : 0;
    const said = answered < told.names.length ? told.texts.answered : told.texts.finished;
    part("resume").hidden = !state;
    part("resume").querySelector("p").textContent = filled(said, answered);
    part("begin").textContent = state ? told.texts.other : told.texts.begin;
  }

  function start() {
    offer();
    open("start");
  }

  function next() {
    if (state.answers.length >= told.names.length) return end();
    const i = state.answers.length;
    part("progress").textContent = filled(told.texts.progress, i + 1);
    part("bar").max = told.names.length;
    part("bar").value = i;
    canvas.setAttribute("aria-label", filled(told.texts.picture, i + 1));
    questions.reset();
    for (const [name, value] of Object.entries(state.draft || {})) {
      for (const choice of questions.elements[name] || []) choice.checked = choice.value === String(value);
    }
    canvas.style.visibility = "hidden"; // until it shows this slice and no longer the last one
    open("task");
    part("sheet").decode().then(() => draw(order[i]));
    questions.elements.origin[0].focus({ preventScroll: true });
  }

  function draw(place) {
    const size = told.size;
    canvas.width = canvas.height = size;
    const [x, y] = [(place % told.columns) * size, Math.floor(place / told.columns) * size];
    canvas.getContext("2d").drawImage(part("sheet"), x, y, size, size, 0, 0, size, size);
    canvas.style.visibility = "visible";
    fit();
  }

  /* Whole pixels of the screen for each of the slice, as many as there is room for. */
  function fit() {
    const room = Math.min(box.clientWidth, 640, Math.max(256, window.innerHeight * 0.65));
    canvas.style.width = told.size * Math.max(1, Math.floor(room / told.size)) + "px";
  }

  function chosen() {
    const found = Object.fromEntries(new FormData(questions));
    if (found.confidence) found.confidence = Number(found.confidence);
    return found;
  }

  function end() {
    const answers = {
      kind: "augment-mri reader study",
      version: 1,
      study: told.study,
      reader: state.reader,
      seed: state.seed,
      answers: state.answers,
    };
    if (file) URL.revokeObjectURL(file);
    file = URL.createObjectURL(new Blob([JSON.stringify(answers, null, 1) + "\n"], { type: "application/json" }));
    const who = state.reader.replace(/[^A-Za-z0-9]+/g, "-").replace(/^-+|-+$/g, "") || String(state.seed);
    part("save").href = file;
    part("save").download = "answers-" + told.study + "-" + who + ".json";
    open("end");
    part("save").focus({ preventScroll: true });
  }

  function begin(event) {
    event.preventDefault();
    if (state && !window.confirm(filled(told.texts.forget, state.answers.length))) return;
    const typed = part("name").value.replace(/[\u0000-\u001f\u007f-\u009f]/g, " ").trim();
    state = { reader: typed, seed: seedOf(typed), answers: [], draft: {} };
    order = orderOf(state.seed);
    keep();
    next();
  }

  function confirmed(event) {
    event.preventDefault();
    state.answers.push({ item: told.names[order[state.answers.length]], ...chosen() });
    state.draft = {};
    keep();
    next();
  }

  function anew() {
    if (!window.confirm(told.texts.unsaved)) return;
    state = null;
    keep();
    part("name").value = "";
    start();
    part("name").focus({ preventScroll: true });
  }

  part("start").addEventListener("submit", begin);
  questions.addEventListener("submit", confirmed);
  questions.addEventListener("change", () => {
    state.draft = chosen();
    keep();
  });
  part("go-on").addEventListener("click", next);
  part("pause").addEventListener("click", () => {
    open("paused");
    part("continue").focus({ preventScroll: true });
  });
  part("continue").addEventListener("click", next);
  part("leave").addEventListener("click", start);
  part("anew").addEventListener("click", anew);
  window.addEventListener("resize", fit);

  part("off").hidden = true;
  box.hidden = false;
  offer();
  keep();
})();

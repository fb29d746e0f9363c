/* The timestep player: shows one of the preloaded frames of every map at once, without a rerun. */
n2m.player = (maps, { frames, marks, start, goal }) => {
  const icons = {
    play: '<svg viewBox="0 0 16 16"><path d="M4 2l10 6-10 6z"/></svg>',
    pause: '<svg viewBox="0 0 16 16"><path d="M3 2h4v12H3zM9 2h4v12H9z"/></svg>',
    back: '<svg viewBox="0 0 16 16"><path d="M12 2v12L4 8zM2 2h2v12H2z"/></svg>',
    step: '<svg viewBox="0 0 16 16"><path d="M4 2v12l8-6zM12 2h2v12h-2z"/></svg>',
  };
  const box = n2m.make("section", "n2m-box n2m-player", document.body);
  const buttons = n2m.make("div", "buttons", box);
  const button = (name, label, act) => {
    const node = n2m.make("button", name, buttons);
    node.innerHTML = icons[name];
    node.title = label;
    node.setAttribute("aria-label", label);
    node.addEventListener("click", act);
    return node;
  };

  let index = start;
  let timer = null;
  let speed = 1;

  const track = n2m.make("div", "track", box);
  const range = n2m.make("input", "", track);
  Object.assign(range, { type: "range", min: 0, max: frames.length - 1, step: 1 });
  range.setAttribute("aria-label", `Timestep, from noise to ${goal}`);
  const ticks = n2m.make("div", "ticks", track);
  const label = n2m.make("div", "label", box);
  label.setAttribute("aria-live", "polite");

  const show = (next) => {
    index = Math.min(frames.length - 1, Math.max(0, next));
    for (const map of maps) {
      let count = 0;
      for (const entry of n2m.overlaysOf(map)) {
        if (entry.role === "base") continue;
        entry.shown = count++ === index;
        n2m.applyOpacity(entry, entry.full);
      }
    }
    range.value = index;
    range.setAttribute("aria-valuetext", `t = ${frames[index].t}`);
    label.replaceChildren();
    n2m.make("b", "", label, `t = ${frames[index].t}`);
    label.append(`  ${frames[index].text}`);
    document.body.dataset.t = frames[index].t;
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.innerHTML = icons.play;
    play.setAttribute("aria-label", "Play");
    play.title = "Play";
  };
  const run = () => {
    if (index === frames.length - 1) show(0);
    clearInterval(timer);
    timer = setInterval(() => {
      show(index + 1);
      if (index === frames.length - 1) stop();
    }, 700 / speed);
    play.innerHTML = icons.pause;
    play.setAttribute("aria-label", "Pause");
    play.title = "Pause";
  };
  const move = (by) => {
    stop();
    show(index + by);
  };

  const play = button("play", "Play", () => (timer ? stop() : run()));
  button("back", "One step back, towards noise", () => move(-1));
  button("step", `One step on, towards the ${goal}`, () => move(1));
  range.addEventListener("input", () => {
    stop();
    show(Number(range.value));
  });
  const pace = n2m.make("select", "speed", box);
  pace.setAttribute("aria-label", "Speed");
  for (const value of [0.5, 1, 2, 4]) {
    const option = n2m.make("option", "", pace, `${value}×`);
    option.value = value;
    option.selected = value === 1;
  }
  pace.addEventListener("change", () => {
    speed = Number(pace.value);
    if (timer) run();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== " " || event.target.tagName === "BUTTON") return;
    event.preventDefault();
    timer ? stop() : run();
  });

  const gap = Math.max(1, Math.ceil(frames.length / 7));
  frames.forEach((frame, i) => {
    const marked = marks.includes(frame.t);
    if (!marked && i % gap && i !== frames.length - 1) return;
    const tick = n2m.make("span", marked ? "mark" : "n2m-tick", ticks, String(frame.t));
    tick.style.left = `${(100 * i) / Math.max(1, frames.length - 1)}%`;
  });
  show(index);
};

/* The map of the review desk. The page posts a scene (crop, outlines, cross) for every object; this
   frame is never reloaded, so the next object is there as soon as its crop is. What the person does
   here goes to the page as one act at a time: the next waits for the answer, so that nobody judges
   what is not yet shown. "Saved" is said by the page alone. */
n2m.desk = (map, { token }) => {
  const box = map.getContainer();
  const SIDES = { left: "n2mleft", right: "n2mright", both: "n2mbase" };
  const swipe = box.querySelector(".n2m-swipe");
  const drawn = L.layerGroup().addTo(map);
  /* Neighbours lie below everything that can be taken hold of. */
  Object.assign(map.createPane("n2mothers").style, { zIndex: 390, pointerEvents: "none" });
  const canvas = L.canvas({ pane: "n2mothers" });
  let scene = null;
  let edit = null; /* {polygons, isNew, handles, outline}: an outline being changed */
  let sketch = null; /* {points, isNew, line}: an outline being drawn */
  let waiting = null;
  let since = 0;

  const tell = (message) => parent.postMessage({ ...message, token }, "*");
  const pair = (at) => [at.lat, at.lng];
  const nameOf = ({ key }) => key.split(" ").slice(0, 2).join(" ");

  /* What stands on the map beside it */
  box.classList.add("n2m-desk");
  const names = ["left", "right"].map((side) => n2m.make("div", `n2m-box n2m-side ${side}`, box));
  const status = n2m.make("div", "n2m-box n2m-status", box);
  status.setAttribute("aria-live", "polite");
  const tools = n2m.make("div", "n2m-box n2m-tools", box);
  tools.hidden = true;
  tools.setAttribute("role", "toolbar");
  tools.setAttribute("aria-label", "Outline");
  L.DomEvent.disableClickPropagation(tools);
  L.DomEvent.disableScrollPropagation(tools);
  const say = (text) => {
    status.textContent = text;
    status.hidden = !text;
  };
  say("");
  n2m.scale(map, { pixels: true, metres: () => scene && scene.metres, position: "bottomleft" });

  const button = (label, key, act) => {
    const node = n2m.make("button", "", tools, label);
    node.type = "button";
    n2m.make("kbd", "", node, key);
    node.addEventListener("click", () => {
      act();
      box.focus();
    });
  };
  let chosenClass = null;
  const pickClass = () => {
    const label = n2m.make("label", "", tools, "Class");
    const list = n2m.make("select", "", label);
    for (const each of scene.classes) {
      const option = n2m.make("option", "", list, each.name);
      option.value = each.id;
    }
    if (!scene.classes.some((each) => each.id === chosenClass)) chosenClass = scene.classes[0].id;
    list.value = chosenClass;
    list.addEventListener("change", () => (chosenClass = Number(list.value)));
  };
  const showTools = () => {
    tools.replaceChildren();
    tools.hidden = !scene || scene.object === undefined;
    if (tools.hidden) return;
    if (sketch) {
      if (sketch.isNew) pickClass();
      button("Close", "Enter", close);
      button("Cancel", "Esc", cancel);
    } else if (edit) {
      if (edit.isNew) pickClass();
      button("Save", "Enter", save);
      button("Cancel", "Esc", cancel);
    } else {
      if (scene.object !== null) {
        button("Edit outline", "E", () => begin(scene.edit, false));
        button("Draw anew", "D", () => draw(false));
      }
      button("Add missed", "M", () => draw(true));
    }
  };

  /* Acts go to the page one at a time */
  const act = (what) => {
    if (waiting !== null || !scene) return;
    waiting = scene.turn;
    box.dataset.state = "saving";
    say("Saving …");
    setTimeout(() => {
      if (waiting === scene.turn) say("No answer yet. It is saved only when the page says so.");
    }, 6000);
    const seconds = (performance.now() - since) / 1000;
    const { session, turn } = scene;
    tell({ n2m: "act", act: { session, turn, seconds, ...what } });
  };

  /* Shapes */
  const polygon = (rings, color, weight) => {
    const shapes = [["#fff", weight + 2.5], [color, weight]].map(([stroke, width]) =>
      L.polygon(rings, { color: stroke, weight: width, fill: false, interactive: false }),
    );
    return L.layerGroup(shapes);
  };
  const looksOf = ({ side, role }, name = "") => ({
    pane: SIDES[side],
    zIndex: name ? 1 : 2,
    opacity: role === "map" ? 0.55 : 1,
    className: `n2m-raster n2m-crisp n2m-${role} ${name}`,
  });
  const paint = () => {
    drawn.clearLayers();
    for (const each of scene.pictures) {
      drawn.addLayer(L.imageOverlay(each.url, each.bounds, looksOf(each)));
    }
    for (const each of scene.others) {
      const thin = { color: each.color, weight: 1.2, opacity: 0.9, fill: false, dashArray: "3 3" };
      drawn.addLayer(L.polygon(each.outline, { ...thin, interactive: false, renderer: canvas }));
    }
    const made = edit || sketch;
    if (scene.outline && (!made || made.isNew))
      drawn.addLayer(polygon(scene.outline, scene.color, 2.5));
    if (scene.cross) {
      for (const [color, width] of [["#fff", 5], ["#111", 2]]) {
        const cross = L.divIcon({ className: "n2m-cross", iconSize: [34, 34] });
        cross.options.html =
          `<svg viewBox="0 0 34 34"><path d="M17 1v12M17 21v12M1 17h12M21 17h12" ` +
          `stroke="${color}" stroke-width="${width}"/></svg>`;
        const at = { icon: cross, interactive: false, keyboard: false };
        drawn.addLayer(L.marker(scene.cross, at));
      }
    }
    scene.sides.forEach((name, i) => {
      names[i].textContent = name;
      names[i].hidden = !name;
    });
    swipe.hidden = !scene.sides[0];
  };
  /* On a tab that is not shown the map has no size, and no zoom fits it. */
  const isShown = () => box.clientWidth > 0 && box.clientHeight > 0;
  const fit = () => {
    if (!isShown()) return;
    map.invalidateSize({ pan: false });
    map.fitBounds(scene.fit, { animate: false, padding: [4, 4] });
  };

  /* Beside the crop lies the rest of the scene: the window in view, asked for by its token. */
  const around = L.layerGroup().addTo(map);
  let asked = 0;
  const fetchAround = async (each, turn) => {
    const view = map.getBounds().pad(0.1);
    const query = new URLSearchParams({
      s: view.getSouth(), n: view.getNorth(),
      w: view.getWest() / scene.stretch, e: view.getEast() / scene.stretch,
    });
    const reply = await fetch(`detail/${each.token}?${query}`);
    if (!reply.ok || turn !== asked) return null;
    const { url, bounds } = await reply.json();
    const corners = bounds.map(([lat, lng]) => [lat, lng * scene.stretch]);
    return L.imageOverlay(url, corners, looksOf(each, "n2maround"));
  };
  const lookAround = async () => {
    const turn = ++asked;
    const crop = scene && scene.pictures[0];
    if (!crop || L.latLngBounds(crop.bounds).contains(map.getBounds())) return around.clearLayers();
    const wanted = scene.pictures.filter((each) => each.token);
    const found = await Promise.all(wanted.map((each) => fetchAround(each, turn)));
    if (turn !== asked) return null;
    around.clearLayers();
    return found.filter(Boolean).forEach((each) => around.addLayer(each));
  };
  let timer = null;
  const lookSoon = () => {
    clearTimeout(timer);
    /* A crop alone is enough to judge by; without an answer it stays so. */
    timer = setTimeout(() => lookAround().catch(() => around.clearLayers()), 250);
  };
  map.on("moveend zoomend", lookSoon);
  const show = (next) => {
    const isNext = !scene || nameOf(scene) !== nameOf(next);
    const isKept = edit && next.problem && !isNext;
    scene = next;
    waiting = null;
    box.dataset.state = "ready";
    say("");
    if (!isKept) stop();
    if (isNext) {
      since = performance.now();
      chosenClass = scene.class;
      around.clearLayers();
      fit();
      lookSoon();
    }
    paint();
    showTools();
    box.dataset.key = scene.key;
  };

  /* Dragging corners */
  const stop = () => {
    if (edit) {
      edit.outline.remove();
      edit.handles.remove();
    }
    if (sketch) sketch.line.remove();
    edit = sketch = null;
    box.classList.remove("n2m-drawing", "n2m-busy");
    map.doubleClickZoom.enable();
  };
  /* While something is drawn, keys come here and the swipe's handle lets clicks through. */
  const takeKeys = () => {
    box.classList.add("n2m-busy");
    window.focus();
    box.focus({ preventScroll: true });
  };
  const begin = (rings, isNew) => {
    stop();
    const polygons = rings.map((part) => part.map((ring) => ring.map((at) => L.latLng(at))));
    edit = { polygons, isNew, outline: L.polygon(polygons, {
      color: "#111", weight: 2, fillColor: "#fff", fillOpacity: 0.14, className: "n2m-edited",
    }).addTo(map), handles: L.layerGroup().addTo(map) };
    edit.outline.on("mousedown", moveWhole);
    takeKeys();
    paint();
    handles();
    showTools();
    say("Drag a corner, or a dot to add one; double-click removes it. Arrows move the outline.");
  };
  const reshape = () => edit.outline.setLatLngs(edit.polygons);
  const handle = (at, name, title) =>
    L.marker(at, {
      icon: L.divIcon({ className: name, iconSize: [13, 13] }),
      draggable: true, autoPan: true, title, alt: title, keyboard: name === "n2m-corner",
    }).addTo(edit.handles);
  const handles = () => {
    edit.handles.clearLayers();
    for (const part of edit.polygons) {
      for (const ring of part) {
        ring.forEach((at, i) => {
          corner(part, ring, i);
          between(ring, i, at, ring[(i + 1) % ring.length]);
        });
      }
    }
  };
  const corner = (part, ring, i) => {
    const mark = handle(ring[i], "n2m-corner", "Corner");
    mark.on("drag", () => {
      ring[i] = mark.getLatLng();
      reshape();
    });
    mark.on("dragend", handles);
    const remove = (event) => {
      L.DomEvent.stop(event);
      if (ring.length > 3) ring.splice(i, 1);
      else if (part.indexOf(ring) > 0) part.splice(part.indexOf(ring), 1);
      else return say("An outline keeps at least three corners.");
      reshape();
      handles();
    };
    mark.on("dblclick contextmenu", remove);
    mark.on("keydown", ({ originalEvent }) => {
      if (["Delete", "Backspace"].includes(originalEvent.key)) remove(originalEvent);
    });
  };
  const between = (ring, i, at, next) => {
    const middle = [(at.lat + next.lat) / 2, (at.lng + next.lng) / 2];
    const mark = handle(middle, "n2m-between", "Add a corner");
    const insert = () => ring.splice(i + 1, 0, mark.getLatLng());
    mark.on("dragstart", insert);
    mark.on("drag", () => {
      ring[i + 1] = mark.getLatLng();
      reshape();
    });
    mark.on("dragend", handles);
    mark.on("click", () => {
      insert();
      reshape();
      handles();
    });
  };
  const shift = (lat, lng) => {
    for (const ring of edit.polygons.flat())
      ring.forEach((at, i) => (ring[i] = L.latLng(at.lat + lat, at.lng + lng)));
    reshape();
  };
  const moveWhole = (event) => {
    L.DomEvent.stop(event);
    let last = event.latlng;
    map.dragging.disable();
    const follow = ({ latlng }) => {
      shift(latlng.lat - last.lat, latlng.lng - last.lng);
      last = latlng;
    };
    map.on("mousemove", follow);
    const release = () => {
      map.off("mousemove", follow);
      map.dragging.enable();
      if (edit) handles();
    };
    addEventListener("mouseup", release, { once: true });
  };
  const nudge = (key) => {
    const steps = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    shift(...steps[key]);
    handles();
  };
  const save = () => {
    const rings = edit.polygons.map((part) => part.map((ring) => ring.map(pair)));
    act(edit.isNew ? { do: "add", rings, class: chosenClass } : { do: "outline", rings });
  };
  const cancel = () => {
    stop();
    say("");
    paint();
    showTools();
  };

  /* Drawing by clicks */
  const draw = (isNew) => {
    stop();
    sketch = { points: [], isNew, line: L.polyline([], { color: "#111", weight: 2 }).addTo(map) };
    map.doubleClickZoom.disable();
    box.classList.add("n2m-drawing");
    takeKeys();
    paint();
    showTools();
    say("Click the corners one after the other; Enter or a double click closes the outline.");
  };
  const follow = (at) => sketch.line.setLatLngs([...sketch.points, ...(at ? [at] : [])]);
  const close = () => {
    if (sketch.points.length < 3) return say("An outline needs at least three corners.");
    begin([[sketch.points.map(pair)]], sketch.isNew);
  };
  map.on("click", ({ latlng }) => {
    if (!sketch) return;
    const last = sketch.points.at(-1);
    const px = (at) => map.latLngToContainerPoint(at);
    /* A double click is two clicks on one place. */
    if (last && px(last).distanceTo(px(latlng)) < 4) return;
    sketch.points.push(latlng);
    follow();
  });
  map.on("mousemove", ({ latlng }) => sketch && follow(latlng));
  map.on("dblclick", () => sketch && close());

  /* Keys, of this frame and passed on by the page */
  const press = (key) => {
    if (!scene || waiting !== null) return false;
    if (sketch || edit) {
      if (key === "Escape") cancel();
      else if (key === "Enter") (sketch ? close : save)();
      else if (sketch && key === "Backspace") {
        sketch.points.pop();
        follow();
      } else if (edit && key.startsWith("Arrow")) nudge(key);
      else return false;
      return true;
    }
    if (key in scene.keys) act(scene.keys[key]);
    else if (scene.object === undefined) return false;
    else if (key === "e" && scene.object !== null) begin(scene.edit, false);
    else if (key === "d" && scene.object !== null) draw(false);
    else if (key === "m") draw(true);
    else return false;
    return true;
  };
  const name = ({ key }) => (key.length === 1 ? key.toLowerCase() : key);
  addEventListener(
    "keydown",
    (event) => {
      const { target } = event;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (target.closest("select, input") && event.key !== "Escape") return;
      if (target.closest("button") && event.key === "Enter") return;
      if (target.closest(".n2m-corner") && /^(Delete|Backspace)$/.test(event.key)) return;
      if (event.repeat && !event.key.startsWith("Arrow")) return;
      if (!press(name(event))) return;
      event.preventDefault();
      event.stopPropagation();
    },
    true,
  );
  addEventListener("message", ({ data, source }) => {
    if (source !== parent || !data || data.token !== token) return;
    if (data.n2m === "scene" && data.scene) show(data.scene);
    if (data.n2m === "press") press(data.key);
  });
  new ResizeObserver(() => {
    if (!isShown()) return;
    if (scene && !edit && !sketch) fit();
    else map.invalidateSize();
  }).observe(box);
  tell({ n2m: "ready" });
};

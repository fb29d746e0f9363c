/* The browser side of the maps: small functions over Leaflet, called by the elements of elements.py.
   Text always goes through textContent, because layer names may hold a person's file name. */
const n2m = (() => {
  "use strict";

  const make = (tag, className, parent, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    if (parent) parent.appendChild(node);
    return node;
  };

  /* The frame shares the app's origin, so it can follow the app between light and dark. */
  const followTheme = () => {
    const apply = () => {
      let dark = matchMedia("(prefers-color-scheme: dark)").matches;
      try {
        const app = parent.document.querySelector(".stApp");
        const rgb = getComputedStyle(app).backgroundColor.match(/[\d.]+/g).map(Number);
        dark = rgb[0] + rgb[1] + rgb[2] < 384;
      } catch (blocked) {
        /* a saved copy opened on its own: the system's preference stands */
      }
      document.documentElement.dataset.theme = dark ? "dark" : "light";
    };
    apply();
    setInterval(apply, 1000);
  };

  /* Borrow the app's typeface: its font rules hold in this frame as well, at the same address. */
  const borrowFonts = () => {
    try {
      const faces = [];
      for (const sheet of parent.document.styleSheets) {
        const base = sheet.href || parent.document.baseURI;
        for (const rule of sheet.cssRules) {
          if (!/^@font-face.*Source S/s.test(rule.cssText)) continue;
          faces.push(
            rule.cssText.replace(/url\("([^"]+)"\)/g, (_, at) => `url("${new URL(at, base)}")`),
          );
        }
      }
      make("style", "", document.head, faces.join("\n"));
    } catch (blocked) {
      /* a saved copy opened on its own: the system's typeface stands */
    }
  };

  /* A map takes what the app's window has below its choices, so that it is seen whole. */
  const fitWindow = () => {
    let height = 860;
    try {
      height = parent.innerHeight;
    } catch (blocked) {
      /* a saved copy opened on its own */
    }
    const room = Math.min(820, Math.max(360, height - 330));
    document.documentElement.style.setProperty("--room", `${room}px`);
  };

  const overlaysOf = (map) => (map.n2mOverlays = map.n2mOverlays || []);

  const start = (map, { bounds }) => {
    if (map.attributionControl) map.attributionControl.setPrefix(false);
    const fit = () => {
      map.invalidateSize({ pan: false });
      map.fitBounds(bounds, { animate: false, padding: [6, 6] });
    };
    fit();
    map.setMinZoom(map.getZoom() - 3);
    /* Until the person moves the map it keeps showing the whole scene, whatever the frame's size. */
    let touched = false;
    map.getContainer().addEventListener("pointerdown", () => (touched = true));
    map.getContainer().addEventListener("wheel", () => (touched = true));
    new ResizeObserver(() => (touched ? map.invalidateSize({ pan: false }) : fit())).observe(
      map.getContainer(),
    );
  };

  const pane = (map, { name, z }) => {
    map.createPane(name).style.zIndex = z;
  };

  const raster = (map, options) => {
    const looks = {
      pane: options.pane,
      opacity: options.opacity,
      alt: options.title,
      className: `n2m-raster n2m-${options.role}${options.crisp ? " n2m-crisp" : ""}`,
    };
    const overlay = L.imageOverlay(options.url, options.bounds, looks).addTo(map);
    const entry = { overlay, role: options.role, full: options.opacity, shown: true };
    overlaysOf(map).push(entry);
    if (options.token) followDetail(map, entry, looks, options.token);
  };

  /* Ask for the window in view when the person zooms in beyond the overview's own pixels. */
  const followDetail = (map, entry, looks, token) => {
    let timer = null;
    let asked = 0;
    const drop = () => {
      if (entry.detail) map.removeLayer(entry.detail);
      entry.detail = null;
    };
    const load = async () => {
      const image = entry.overlay.getElement();
      if (!image.naturalWidth || image.width < 1.15 * image.naturalWidth) return drop();
      const view = map.getBounds().pad(0.15);
      const turn = ++asked;
      const query = new URLSearchParams({
        s: view.getSouth(), w: view.getWest(), n: view.getNorth(), e: view.getEast(),
      });
      const reply = await fetch(`detail/${token}?${query}`);
      if (!reply.ok || turn !== asked) return;
      const { url, bounds } = await reply.json();
      const next = L.imageOverlay(url, bounds, { ...looks, opacity: entry.full }).addTo(map);
      drop();
      entry.detail = next;
    };
    map.on("moveend zoomend", () => {
      clearTimeout(timer);
      timer = setTimeout(() => load().catch(drop), 250);
    });
  };

  const note = (map, { text, position }) => {
    const control = L.control({ position });
    control.onAdd = () => make("div", "n2m-box n2m-note", null, text);
    control.addTo(map);
  };

  const sides = (map, { left, right }) => {
    const box = map.getContainer();
    if (left) make("div", "n2m-box n2m-side left", box, left);
    if (right) make("div", "n2m-box n2m-side right", box, right);
  };

  const legend = (map, { items, position }) => {
    const control = L.control({ position });
    control.onAdd = () => {
      const box = make("div", "n2m-box n2m-legend");
      for (const item of items) {
        const row = make("span", "", box);
        const swatch = make("i", item.ramp ? "ramp" : "", row);
        swatch.style.background = item.ramp || item.color;
        make("span", "", row, item.name);
      }
      return box;
    };
    control.addTo(map);
  };

  /* The legend of several maps: one line under them. */
  const key = (maps, { items }) => {
    const line = make("div", "n2m-key", document.body);
    for (const item of items) {
      const entry = make("span", "", line);
      const swatch = make("i", item.ramp ? "ramp" : "", entry);
      swatch.style.background = item.ramp || item.color;
      make("span", "", entry, item.name);
    }
  };

  const applyOpacity = (entry, share) => {
    entry.overlay.setOpacity(entry.shown ? share : 0);
    if (entry.detail) entry.detail.setOpacity(entry.shown ? share : 0);
  };

  const opacity = (map, { label, value, position }) => {
    const control = L.control({ position });
    control.onAdd = () => {
      const box = make("label", "n2m-box n2m-opacity", null, label);
      const range = make("input", "", box);
      Object.assign(range, { type: "range", min: 0, max: 100, value: Math.round(value * 100) });
      range.setAttribute("aria-label", label);
      range.addEventListener("input", () => {
        for (const entry of overlaysOf(map)) {
          if (entry.role !== "mask") continue;
          entry.full = range.value / 100;
          applyOpacity(entry, entry.full);
        }
      });
      L.DomEvent.disableClickPropagation(box);
      L.DomEvent.disableScrollPropagation(box);
      return box;
    };
    control.addTo(map);
  };

  const swipe = (map, { left, right, share }) => {
    const box = map.getContainer();
    const bar = make("div", "n2m-swipe", box);
    let part = share;
    bar.tabIndex = 0;
    bar.setAttribute("role", "slider");
    bar.setAttribute("aria-label", "Swipe between the two pictures");
    bar.setAttribute("aria-valuemin", "0");
    bar.setAttribute("aria-valuemax", "100");
    const clip = (name, x0, x1, top, bottom) => {
      map.getPane(name).style.clipPath =
        `polygon(${x0}px ${top}px, ${x1}px ${top}px, ${x1}px ${bottom}px, ${x0}px ${bottom}px)`;
    };
    const draw = () => {
      const size = map.getSize();
      const nw = map.containerPointToLayerPoint([0, 0]);
      const se = map.containerPointToLayerPoint(size);
      const x = nw.x + size.x * part;
      clip(left, nw.x, x, nw.y, se.y);
      clip(right, x, se.x, nw.y, se.y);
      bar.style.left = `${100 * part}%`;
      bar.setAttribute("aria-valuenow", String(Math.round(100 * part)));
    };
    const moveTo = (value) => {
      part = Math.min(1, Math.max(0, value));
      draw();
    };
    bar.addEventListener("pointerdown", (event) => bar.setPointerCapture(event.pointerId));
    bar.addEventListener("pointermove", (event) => {
      if (!bar.hasPointerCapture(event.pointerId)) return;
      const frame = box.getBoundingClientRect();
      moveTo((event.clientX - frame.left) / frame.width);
    });
    bar.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -0.05, ArrowRight: 0.05, Home: -1, End: 1 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      event.stopPropagation();
      moveTo(part + steps[event.key]);
    });
    L.DomEvent.disableClickPropagation(bar);
    map.on("move zoom viewreset resize", draw);
    draw();
  };

  const sync = (maps) => {
    let moving = false;
    for (const map of maps) {
      map.on("move zoomend", () => {
        if (moving) return;
        moving = true;
        for (const other of maps) {
          if (other !== map) other.setView(map.getCenter(), map.getZoom(), { animate: false });
        }
        moving = false;
      });
    }
  };

  /* Put the map into the figure's grid under its title; the frame's height follows the grid. */
  const panel = (map, { title, columns }) => {
    let grid = document.querySelector(".n2m-panels");
    if (!grid) {
      grid = make("div", "n2m-panels");
      grid.dataset.columns = columns;
      document.body.prepend(grid);
    }
    const section = make("section", "n2m-panel", grid);
    if (title) make("h2", "", section, title);
    section.appendChild(map.getContainer());
    map.invalidateSize({ pan: false });
  };

  /* The class under the pointer is read from the mask's own pixels. */
  const colourAt = (map, entry, latlng) => {
    const image = entry.overlay.getElement();
    if (!image || !image.complete || !image.naturalWidth) return null;
    if (!entry.canvas) {
      entry.canvas = make("canvas");
      entry.canvas.width = image.naturalWidth;
      entry.canvas.height = image.naturalHeight;
      const context = entry.canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
    }
    const box = entry.overlay.getBounds();
    const [nw, se] = [map.project(box.getNorthWest(), 0), map.project(box.getSouthEast(), 0)];
    const point = map.project(latlng, 0);
    const x = Math.floor(((point.x - nw.x) / (se.x - nw.x)) * entry.canvas.width);
    const y = Math.floor(((point.y - nw.y) / (se.y - nw.y)) * entry.canvas.height);
    if (x < 0 || y < 0 || x >= entry.canvas.width || y >= entry.canvas.height) return null;
    return entry.canvas.getContext("2d").getImageData(x, y, 1, 1).data;
  };

  const nameOf = (map, classes, latlng) => {
    for (const entry of overlaysOf(map)) {
      if (entry.role !== "mask" || !entry.shown) continue;
      const rgba = colourAt(map, entry, latlng);
      if (!rgba || rgba[3] === 0) continue;
      const hit = classes.find((c) => c.rgb.every((value, i) => value === rgba[i]));
      if (hit) return hit.name;
    }
    return "";
  };

  const place = (latlng, pixels) => {
    if (pixels) return `column ${Math.floor(latlng.lng)}, row ${Math.floor(-latlng.lat)}`;
    const [lat, lng] = [latlng.lat, latlng.wrap().lng];
    const north = `${Math.abs(lat).toFixed(6)}° ${lat < 0 ? "S" : "N"}`;
    return `${north}, ${Math.abs(lng).toFixed(6)}° ${lng < 0 ? "W" : "E"}`;
  };

  const readout = (map, { pixels, classes, position }) => {
    const control = L.control({ position });
    control.onAdd = () => {
      const box = make("div", "n2m-box n2m-readout");
      const show = (event) => {
        box.hidden = false;
        box.textContent = place(event.latlng, pixels);
        const name = nameOf(map, classes, event.latlng);
        if (name) {
          box.append("  ");
          make("b", "", box, name);
        }
      };
      box.hidden = true;
      map.on("mousemove click", show);
      return box;
    };
    control.addTo(map);
  };

  /* Talk with the page about what carries a token: gives what tells it something; what the page
     marks comes to a function. The page may listen later than a person clicks, so what it has not
     acknowledged is told again when it marks something, with the time that tells two clicks apart. */
  const talk = (token, onMark) => {
    let waiting = null;
    const post = (message) => parent.postMessage({ ...message, token }, "*");
    addEventListener("message", ({ data, source }) => {
      if (source !== parent || !data || data.token !== token) return;
      if (data.n2m === "heard" && data.at === waiting?.at) waiting = null;
      if (data.n2m !== "mark") return;
      onMark(data);
      if (waiting) post(waiting);
    });
    post({ n2m: "ready" });
    return (message) => {
      waiting = { ...message, at: Date.now() };
      post(waiting);
    };
  };

  /* Tell the page which place was clicked, and ring the place that it names in return. */
  const clicks = (map, { token }) => {
    const rings = [["#fff", 5], ["#111", 2]].map(([color, weight]) =>
      L.circleMarker([0, 0], {
        radius: 8, color, weight, fill: false, interactive: false, pane: "markerPane",
      }),
    );
    const ring = (place) => {
      for (const each of rings) each.setLatLng(place).addTo(map);
    };
    const tell = talk(token, ({ place }) => ring(place));
    map.getContainer().style.cursor = "crosshair";
    map.on("click", (event) => {
      const { lat, lng } = map.wrapLatLng(event.latlng);
      tell({ n2m: "click", place: [lat, lng] });
    });
  };

  /* Let a person draw a rectangle: tell the page its box, and outline the area that it names. */
  const area = (map, { token, label, position }) => {
    document.documentElement.style.setProperty("--room", "400px");
    const box = map.getContainer();
    const lines = [["#fff", 5], ["#111", 2]].map(([color, weight]) =>
      L.polygon([], { color, weight, fill: false, interactive: false }),
    );
    const outline = (corners) => {
      for (const each of lines) each.setLatLngs(corners).addTo(map);
    };
    let chosen = [];
    let from = null;
    let button = null;
    const setDrawing = (on) => {
      box.classList.toggle("n2m-drawing", on);
      button.setAttribute("aria-pressed", String(on));
      map.dragging[on ? "disable" : "enable"]();
    };
    const corner = (event) => map.mouseEventToLatLng(event);
    const around = (a, b) => L.latLngBounds(a, b);
    const cornersOf = (bounds) =>
      [bounds.getNorthWest(), bounds.getNorthEast(), bounds.getSouthEast(), bounds.getSouthWest()];
    const isDrawing = () => box.classList.contains("n2m-drawing");
    const control = L.control({ position });
    control.onAdd = () => {
      button = make("button", "n2m-box n2m-draw", null, label);
      button.type = "button";
      button.addEventListener("click", () => setDrawing(!isDrawing()));
      L.DomEvent.disableClickPropagation(button);
      return button;
    };
    control.addTo(map);
    setDrawing(false);
    box.addEventListener("pointerdown", (event) => {
      if (!isDrawing() || event.button !== 0 || button.contains(event.target)) return;
      from = corner(event);
      box.setPointerCapture(event.pointerId);
    });
    box.addEventListener("pointermove", (event) => {
      if (from) outline(cornersOf(around(from, corner(event))));
    });
    box.addEventListener("pointerup", (event) => {
      if (!from) return;
      const bounds = around(from, corner(event));
      const size = map.latLngToContainerPoint(bounds.getSouthEast())
        .subtract(map.latLngToContainerPoint(bounds.getNorthWest()));
      from = null;
      setDrawing(false);
      /* A click is no rectangle. */
      if (Math.min(size.x, size.y) < 4) return outline(chosen);
      tell({
        n2m: "area",
        box: [bounds.getSouth(), bounds.getWest(), bounds.getNorth(), bounds.getEast()],
      });
    });
    const stop = () => {
      if (!isDrawing()) return;
      from = null;
      setDrawing(false);
      outline(chosen);
    };
    box.addEventListener("pointercancel", stop);
    addEventListener("keydown", (event) => event.key === "Escape" && stop());
    const tell = talk(token, ({ corners }) => {
      chosen = corners;
      outline(chosen);
    });
  };

  const scale = (map, { pixels, metres, position }) => {
    const control = L.control({ position });
    control.onAdd = () => {
      const box = make("div", "n2m-scale");
      const text = make("b", "", box);
      const draw = () => {
        const middle = map.getSize().divideBy(2);
        const ends = [middle, middle.add([100, 0])].map((p) => map.containerPointToLatLng(p));
        let unit = pixels ? " px" : " m";
        let per = map.distance(ends[0], ends[1]) / 100;
        const size = typeof metres === "function" ? metres() : metres;
        if (pixels && size) [unit, per] = [" m", per * size];
        if (unit === " m" && per * 100 >= 1000) [unit, per] = [" km", per / 1000];
        const power = 10 ** Math.floor(Math.log10(per * 100));
        const length = [5, 2, 1].map((n) => n * power).find((n) => n <= per * 100);
        text.textContent = `${Number(length.toPrecision(1))}${unit}`;
        box.style.width = `${length / per}px`;
      };
      map.whenReady(draw).on("move zoomend resize", draw);
      return box;
    };
    control.addTo(map);
  };

  const basemap = (map, { url, attribution, maxNativeZoom, subdomains, message }) => {
    const tiles = L.tileLayer(url, {
      attribution,
      maxNativeZoom,
      subdomains,
      maxZoom: 26,
      opacity: 0.9,
      pane: "tilePane",
    });
    let failed = 0;
    let loaded = 0;
    const giveUp = () => {
      if (loaded || !map.hasLayer(tiles)) return;
      map.removeLayer(tiles);
      note(map, { text: message, position: "bottomleft" });
    };
    tiles.on("tileload", () => (loaded += 1));
    tiles.on("tileerror", () => ++failed >= 2 && giveUp());
    tiles.addTo(map);
    if (navigator.onLine === false) giveUp();
    /* A firewall that drops packets answers nothing at all for a long time. */
    setTimeout(giveUp, 8000);
  };

  return {
    make, followTheme, borrowFonts, fitWindow, overlaysOf, applyOpacity, start, pane, raster, note, sides, legend, key, opacity,
    swipe, sync, panel, readout, clicks, area, scale, basemap,
  };
})();
n2m.followTheme();
n2m.borrowFonts();
n2m.fitWindow();

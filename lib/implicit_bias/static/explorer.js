// Sliders over stored frames; with a kernel, over any value in between.
// The page asks "hello" once. Only a kernel answers, and only then do the sliders move continuously.

function element(tag, className, parent) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (parent) parent.appendChild(node);
  return node;
}

// A position t between grid indices k and k+1 stands for the value in between, geometric on a logarithmic slider.
function valueAt(slider, t) {
  const k = Math.min(Math.floor(t), slider.values.length - 2);
  if (slider.values.length === 1 || t === Math.round(t)) return slider.values[Math.round(t)];
  const [a, b] = [slider.values[k], slider.values[k + 1]];
  return slider.log ? a * Math.pow(b / a, t - k) : a + (b - a) * (t - k);
}

function render({ model, el }) {
  const sliders = model.get("sliders");
  const frames = model.get("frames");
  const root = element("div", "ib-explorer", el);
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", model.get("title"));

  const controls = element("div", "ib-controls", root);
  const inputs = sliders.map((slider) => {
    const row = element("label", "ib-control", controls);
    element("span", "ib-label", row).textContent = slider.label;
    const input = element("input", "ib-slider", row);
    Object.assign(input, { type: "range", min: 0, max: slider.values.length - 1, step: 1, value: slider.start });
    const output = element("output", "ib-value", row);
    return { slider, input, output };
  });

  const body = element("div", "ib-body", root);
  const picture = element("img", "ib-figure", body);
  const side = element("div", "ib-side", body);
  side.setAttribute("aria-live", "polite");

  function show(frame) {
    picture.src = frame.src;
    picture.alt = frame.alt;
    side.replaceChildren();
    for (const { claim, verdict, why } of frame.verdicts) {
      const line = element("p", "ib-verdict-line", side);
      element("span", `ib-verdict ib-${verdict}`, line).textContent = verdict;
      element("b", "", line).textContent = ` ${claim} `;
      line.append(why);
    }
    if (frame.text) element("p", "ib-text", side).textContent = frame.text;
  }

  function label(texts) {
    for (const { slider, input, output } of inputs) {
      const t = Number(input.value);
      output.textContent = texts?.[slider.name] ?? (t === Math.round(t) ? slider.texts[t] : valueAt(slider, t).toPrecision(3));
      input.setAttribute("aria-valuetext", output.textContent);
    }
  }

  let live = false;
  let ticket = 0;
  let timer = null;

  function update() {
    const positions = inputs.map(({ input }) => Number(input.value));
    label();
    if (positions.every((t) => t === Math.round(t))) {
      ticket += 1;
      show(frames[positions.join(",")]);
    } else if (live) {
      clearTimeout(timer);
      timer = setTimeout(() => {
        ticket += 1;
        const values = Object.fromEntries(inputs.map(({ slider, input }) => [slider.name, valueAt(slider, Number(input.value))]));
        model.send({ kind: "frame", ticket, values });
      }, 120);
    }
  }

  function receive(message) {
    if (message.kind === "hello" && !live) {
      live = true;
      root.classList.add("ib-live");
      for (const { input } of inputs) input.step = "0.05";
    } else if (message.kind === "frame" && message.ticket === ticket) {
      show(message.frame);
      label(message.texts);
    }
  }

  for (const { input } of inputs) input.addEventListener("input", update);
  model.on("msg:custom", receive);
  update();
  try {
    model.send({ kind: "hello" });
  } catch {
    // A static page has nobody to talk to.
  }
  return () => model.off("msg:custom", receive);
}

export default { render };

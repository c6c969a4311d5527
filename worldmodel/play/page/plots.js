// Curves of the last moments, on canvases.

const SHOWN = 200; // moments
const KEPT = 1200;
export const CURVES = ["reward", "real_reward", "termination", "uncertainty", "psnr"];

export class Plots {
  constructor() {
    this.from = 0;
    this.curves = Object.fromEntries(CURVES.map((name) => [name, []]));
    this.at = 0;
  }

  /** Everything so far, after a jump or a reset. */
  replace(history) {
    this.from = history.from;
    for (const name of CURVES) this.curves[name] = history[name].slice();
  }

  /** One more moment; those that were dropped on the way stay empty. */
  add(header) {
    this.at = header.t;
    const index = header.t - this.from;
    if (index < 0) return;
    for (const name of CURVES) {
      const curve = this.curves[name];
      while (curve.length < index) curve.push(null);
      curve[index] = header[name];
      curve.length = Math.max(index + 1, Math.min(curve.length, header.last - this.from + 1));
    }
    const surplus = this.curves.reward.length - KEPT;
    if (surplus > 200) {
      for (const name of CURVES) this.curves[name].splice(0, surplus);
      this.from += surplus;
    }
  }

  draw() {
    this.plot("plot-reward", [["real_reward", "--real"], ["reward", "--dream"]], null, null);
    this.plot("plot-termination", [["termination", "--dream"]], 0, 1);
    this.plot("plot-uncertainty", [["uncertainty", "--dream"]], 0, null);
    this.plot("plot-psnr", [["psnr", "--dream"]], null, null);
  }

  plot(id, lines, low, high) {
    const canvas = document.getElementById(id);
    const scale = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const context = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    context.clearRect(0, 0, width, height);
    const end = Math.max(this.from + this.curves.reward.length, SHOWN), begin = end - SHOWN;
    const values = lines.map(([name]) => this.curves[name].slice(Math.max(0, begin - this.from)));
    const known = values.flat().filter((value) => value !== null && value !== undefined);
    const font = 11 * scale, pad = 4 * scale, left = 36 * scale; // room for the numbers
    context.font = `${font}px system-ui, sans-serif`;
    context.fillStyle = style.getPropertyValue("--soft");
    if (known.length === 0) {
      context.fillText("nothing to show yet", pad, height / 2 + font / 3);
      return;
    }
    let bottom = low ?? Math.min(...known), top = high ?? Math.max(...known);
    if (top - bottom < 1e-6) { top += 0.5; bottom -= low === null ? 0.5 : 0; }
    const x = (t) => ((t - begin) / SHOWN) * (width - left - pad) + left;
    const y = (value) => height - pad - ((value - bottom) / (top - bottom)) * (height - 2 * pad);
    context.strokeStyle = style.getPropertyValue("--line");
    context.lineWidth = scale;
    context.beginPath();
    context.moveTo(x(this.at), 0);
    context.lineTo(x(this.at), height);
    context.stroke();
    lines.forEach(([, colour], k) => {
      context.strokeStyle = style.getPropertyValue(colour);
      context.lineWidth = 1.6 * scale;
      context.beginPath();
      let pen = false;
      values[k].forEach((value, i) => {
        if (value === null || value === undefined) { return; }
        const point = [x(Math.max(begin, this.from) + i), y(value)];
        if (pen) context.lineTo(...point); else context.moveTo(...point);
        pen = true;
      });
      context.stroke();
    });
    context.fillText(short(top), pad, pad + font * 0.8);
    context.fillText(short(bottom), pad, height - pad);
  }
}

/** A number in three or four characters. */
export function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

// Pictures on canvases, pixel by pixel.

/** Draws RGB bytes onto a canvas of the same size. */
export function draw(canvas, picture) {
  const { width, height, pixels } = picture;
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0, j = 0; i < pixels.length; i += 3, j += 4) {
    image.data[j] = pixels[i]; image.data[j + 1] = pixels[i + 1]; image.data[j + 2] = pixels[i + 2]; image.data[j + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** Absolute difference of two pictures, twice as strong, so that small ones are seen. */
export function difference(one, other) {
  const pixels = new Uint8Array(one.pixels.length);
  for (let i = 0; i < pixels.length; i += 1) pixels[i] = Math.min(255, 2 * Math.abs(one.pixels[i] - other.pixels[i]));
  return { ...one, pixels };
}

/** The row of futures: a button each, which drives it. */
export class Futures {
  constructor(container, choose) {
    this.container = container;
    this.choose = choose;
  }

  show(header, pictures) {
    const shown = pictures.filter((picture) => picture.kind === "future");
    this.container.hidden = shown.length === 0;
    while (this.container.children.length > shown.length) this.container.lastChild.remove();
    while (this.container.children.length < shown.length) this.container.append(this.button(this.container.children.length));
    shown.forEach((picture, k) => {
      const button = this.container.children[k], future = header.futures[k];
      draw(button.querySelector("canvas"), picture);
      const born = future.born ? `, from ${future.born}` : "";
      button.querySelector("figcaption").textContent = `${future.name}: ${picture.t}${born}`;
      button.setAttribute("aria-pressed", String(k === header.driven));
      button.setAttribute("aria-label", `drive future ${future.name}`);
    });
  }

  button(number) {
    const button = document.createElement("button");
    button.type = "button";
    const figure = document.createElement("figure");
    figure.append(document.createElement("canvas"), document.createElement("figcaption"));
    button.append(figure);
    button.onclick = () => this.choose(number);
    return button;
  }
}

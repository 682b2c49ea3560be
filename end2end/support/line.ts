/**
 * A line to the portal that can be cut: a TCP proxy on the portal's configured public address.
 *
 * The browser's own offline mode leaves open sockets open, so it does not show what happens to them.
 */
import { type Server, type Socket, connect, createServer } from "node:net";
import { publicUrl, url } from "./people";

export class Line {
  private server?: Server;
  private readonly sockets = new Set<Socket>();

  /** Where it begins: the portal's origin for those who are behind it. */
  readonly url = publicUrl();

  /** A whole line. */
  static async open(): Promise<Line> {
    const line = new Line();
    await line.restore();
    return line;
  }

  /** Breaks every connection, and refuses new ones until the line is restored. */
  async cut(): Promise<void> {
    const closed = new Promise((resolve) => this.server?.close(resolve));
    for (const socket of this.sockets) socket.resetAndDestroy();
    await closed;
  }

  /** Lets connections through again. */
  async restore(): Promise<void> {
    const { port } = new URL(url());
    this.server = createServer((near) => {
      const far = connect(Number(port), "127.0.0.1");
      for (const [one, other] of [[near, far], [far, near]] as const) {
        this.sockets.add(one);
        one.on("error", () => other.destroy());
        one.on("close", () => { this.sockets.delete(one); other.destroy(); });
        one.pipe(other);
      }
    });
    await new Promise<void>((resolve, reject) => {
      this.server?.once("error", reject).listen(Number(new URL(this.url).port), "127.0.0.1", resolve);
    });
  }
}

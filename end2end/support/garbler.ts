/**
 * Stands between a page and one of the portal's sockets, and makes nonsense of what comes over a connection from a moment on: as a
 * page sees it that was loaded before an update of the portal.
 */
import type { Page } from "@playwright/test";

export class Garbler {
  /** Connections that the page has made. */
  connections = 0;
  /** Frames that it got as they were sent. */
  whole = 0;
  private garbled?: number;

  /** For sockets of this path, from the page's next load on. */
  static async of(page: Page, path: string): Promise<Garbler> {
    const garbler = new Garbler();
    await page.routeWebSocket((address) => address.pathname.startsWith(path), (near) => {
      const connection = ++garbler.connections;
      near.connectToServer().onMessage((frame) => {
        if (connection === garbler.garbled) return near.send('{"type":');
        garbler.whole += 1;
        near.send(frame);
      });
    });
    return garbler;
  }

  /** From now on, nothing that comes over the present connection can be read. */
  garble(): void {
    this.garbled = this.connections;
  }
}

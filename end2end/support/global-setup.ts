/** One portal for the whole run; the tests make their own users and machines in it, in the order of their files. */
import { startPortal, stopPortal } from "./portal";

export default async function setup(): Promise<() => Promise<void>> {
  const portal = await startPortal();
  process.env.E2E_URL = portal.url;
  process.env.E2E_PUBLIC_URL = portal.publicUrl;
  process.env.E2E_SETUP_LINK = portal.setupLink ?? "";
  process.env.E2E_STATE = portal.state;
  process.env.E2E_LOG = portal.log;
  return () => stopPortal(portal);
}

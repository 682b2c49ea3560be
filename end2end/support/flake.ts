/**
 * The tiny image's flake for these tests: a copy that no earlier run has built from, with two more profiles.
 *
 * What the builds of those profiles do is decided while they run: `e2e-broken` prints 100,000 lines and fails until it is
 * repaired; `e2e-told` prints what it reads from a pipe, and ends when the pipe does.
 */
import { execFileSync } from "node:child_process";
import { closeSync, cpSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/** Lines that the broken build prints before it fails. */
export const LINES = 100_000;
/** Its last one. */
export const LAST_WORDS = `error: part ${LINES} does not compile`;
/** The names of the two profiles on their cards. */
export const BROKEN = "Broken on purpose";
export const TOLD = "Told what to print";

const flakeOf = (state: string): string => `${state}-flake`;
const repaired = (state: string): string => join(flakeOf(state), "..", `${state.split("/").at(-1)}-repaired`);
const pipe = (state: string): string => join(flakeOf(state), "..", `${state.split("/").at(-1)}-pipe`);

/** Creates the copy for the portal of this state directory, unless it exists. */
export function freshFlake(original: string, state: string): string {
  const copy = flakeOf(state);
  if (existsSync(copy)) return copy;
  cpSync(original, copy, { recursive: true });
  writeFileSync(join(copy, "run"), `${Date.now()}\n`);
  writeFileSync(join(copy, "profiles/e2e-broken.nix"), profile(BROKEN, "Its build fails until it is repaired."));
  writeFileSync(join(copy, "profiles/e2e-told.nix"), profile(TOLD, "Its build prints what it is told, and ends when told."));
  writeFileSync(join(copy, "steps/e2e.sh"), `
case ",$profiles," in
    *,e2e-broken,*)
        if [ ! -e '${repaired(state)}' ]; then
            seq ${LINES} | sed 's/^/compiling part /' >&2
            say '${LAST_WORDS}'
            exit 1
        fi
        ;;
    *,e2e-told,*) while read -r line; do say "$line"; done <'${pipe(state)}' ;;
esac
`);
  const rootfs = join(copy, "steps/rootfs.sh");
  const step = readFileSync(rootfs, "utf8");
  const at = "phase buildPhase\n";
  if (!step.includes(at)) throw new Error(`${rootfs} has no line "${at.trim()}" to put the tests' part behind`);
  writeFileSync(rootfs, step.replace(at, `${at}. "$steps/e2e.sh"\n`));
  mkdirSync(join(pipe(state), ".."), { recursive: true });
  execFileSync("mkfifo", [pipe(state)]);
  return copy;
}

/** From now on every image is another one; the guests of these do not get through their boot, or do again. */
export function nextImages(state: string, boots: boolean): void {
  const copy = flakeOf(state);
  writeFileSync(join(copy, "run"), `${Date.now()}\n`);
  const inittab = join(copy, "guest/etc/inittab");
  const [good, bad] = ["::once:/usr/lib/snowglobe/boot-complete", "::once:/bin/busybox poweroff -f"];
  const text = readFileSync(inittab, "utf8");
  if (!text.includes(good) && !text.includes(bad)) throw new Error(`${inittab} has no line "${good}"`);
  writeFileSync(inittab, boots ? text.replace(bad, good) : text.replace(good, bad));
}

/** Removes the copy and what belongs to it. */
export function removeFlake(state: string): void {
  for (const path of [flakeOf(state), pipe(state), repaired(state)]) rmSync(path, { recursive: true, force: true });
}

/** From now on the broken profile builds. */
export function repairBroken(state: string): void {
  writeFileSync(repaired(state), "");
}

/** The end of the pipe with what the running build of `e2e-told` prints. Closing it ends the build. */
export class Teller {
  private readonly pipe: number;

  constructor(state: string) {
    // Also opened for reading: then opening blocks on nobody, and output before the build listens is kept for it.
    this.pipe = openSync(pipe(state), "r+");
  }

  /** Lets the build print these lines. */
  say(...lines: string[]): void {
    writeSync(this.pipe, lines.map((line) => `${line}\n`).join(""));
  }

  /** Lets the build end, once it has printed something. */
  end(): void {
    closeSync(this.pipe);
  }
}

function profile(title: string, summary: string): string {
  return `{
  meta = {
    title = "${title}";
    summary = "${summary}";
    brings = [ ];
    needs = [ ];
    conflicts = [ ];
    ports = { tcp = [ ]; udp = [ ]; };
    modes = [ "immutable" "semi-mutable" "mutable" ];
    size = "small";
  };
  module = { };
}
`;
}

import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What the tests need of the system, or undefined where all is there. */
export function missing (): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces are made by root only'
  for (const [program, version] of [['ip', '-V'], ['nft', '--version']]) {
    try {
      execFileSync(program, [version], { stdio: 'ignore' })
    } catch {
      return `there is no program ${program} (Debian: apt-get install iproute2 nftables)`
    }
  }
  return undefined
}

export type Place = 'internet' | 'left' | 'right'

/** The address of a machine in the internet. */
export const PUBLIC_ADDRESS = '5.0.0.1'

/**
 * An internet, and two homes, left and right, each with a machine behind a router that translates addresses and lets nothing in
 * that was not asked for. Addresses of homes lead nowhere in the internet.
 */
export class Namespaces {
  readonly #prefix: string

  private constructor (prefix: string) {
    this.#prefix = prefix
  }

  /** @param ports whether a router shows all peers one port of a machine that always dials from one, as most do, or each another */
  static async open (ports: 'kept' | 'random'): Promise<Namespaces> {
    const spaces = new Namespaces(`colanet-${process.pid}`)
    await spaces.close()
    try {
      await spaces.#build(ports)
    } catch (error) {
      await spaces.close()
      throw error
    }
    return spaces
  }

  async close (): Promise<void> {
    for (const name of NAMES) await run('ip', ['netns', 'delete', this.#of(name)]).catch(() => {})
  }

  /** What stands before a command that is to run there. */
  within (place: Place): string[] {
    return ['ip', 'netns', 'exec', this.#of(place)]
  }

  async #build (ports: 'kept' | 'random'): Promise<void> {
    for (const name of NAMES) {
      await run('ip', ['netns', 'add', this.#of(name)])
      await this.#ip(name, 'link set lo up')
    }
    await this.#ip('internet', `address add ${PUBLIC_ADDRESS}/32 dev lo`)
    await this.#ip('internet', 'route add blackhole 10.0.0.0/8')
    await this.#forward('internet')
    for (const [i, home] of (['left', 'right'] as const).entries()) {
      const router = `${home}-router` as const
      await this.#link(['internet', home, `5.${i + 1}.0.1`], [router, 'wan', `5.${i + 1}.0.2`])
      await this.#link([router, 'lan', `10.${i + 1}.0.1`], [home, 'eth', `10.${i + 1}.0.2`])
      await this.#ip(router, `route add default via 5.${i + 1}.0.1`)
      await this.#ip(home, `route add default via 10.${i + 1}.0.1`)
      await this.#forward(router)
      await run('ip', ['netns', 'exec', this.#of(router), 'nft', `
        table ip translation {
          chain leaving { type nat hook postrouting priority 100; oifname "wan" masquerade ${ports === 'random' ? 'random' : ''}; }
          chain own { type filter hook input priority 0; iifname "wan" ct state new drop; }
          chain through { type filter hook forward priority 0; iifname "wan" ct state new drop; }
        }`])
    }
  }

  /** Two ends of a cable: the namespace, the interface and its address. */
  async #link ([one, first, here]: readonly [Name, string, string], [other, second, there]: readonly [Name, string, string]): Promise<void> {
    await this.#ip(one, `link add ${first} type veth peer name ${second} netns ${this.#of(other)}`)
    await this.#ip(one, `address add ${here}/24 dev ${first}`)
    await this.#ip(other, `address add ${there}/24 dev ${second}`)
    await this.#ip(one, `link set ${first} up`)
    await this.#ip(other, `link set ${second} up`)
  }

  async #forward (name: Name): Promise<void> {
    await run('ip', ['netns', 'exec', this.#of(name), process.execPath, '-e', 'fs.writeFileSync("/proc/sys/net/ipv4/ip_forward", "1")'])
  }

  async #ip (name: Name, command: string): Promise<void> {
    await run('ip', ['-n', this.#of(name), ...command.split(' ')])
  }

  #of (name: Name): string {
    return `${this.#prefix}-${name}`
  }
}

type Name = Place | 'left-router' | 'right-router'

const NAMES: readonly Name[] = ['internet', 'left', 'right', 'left-router', 'right-router']

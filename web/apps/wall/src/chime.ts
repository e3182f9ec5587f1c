/** Two soft tones made on the spot. A browser lets a page sound only after somebody touched it. */
export class Chime {
  private context: AudioContext | undefined

  get on(): boolean {
    return this.context?.state === 'running'
  }

  /** Called by a tap, or at start where the screen's browser may sound without one. */
  async enable(): Promise<boolean> {
    if (typeof AudioContext === 'undefined') return false
    this.context ??= new AudioContext()
    await Promise.race([this.context.resume(), new Promise((r) => setTimeout(r, 500))])
    return this.on
  }

  ring(): void {
    const c = this.context
    if (!c || c.state !== 'running') return
    for (const [tone, from] of [[784, 0], [587, 0.35]] as const) {
      const source = c.createOscillator()
      const volume = c.createGain()
      source.frequency.value = tone
      volume.gain.setValueAtTime(0.0001, c.currentTime + from)
      volume.gain.exponentialRampToValueAtTime(0.4, c.currentTime + from + 0.02)
      volume.gain.exponentialRampToValueAtTime(0.0001, c.currentTime + from + 0.9)
      source.connect(volume).connect(c.destination)
      source.start(c.currentTime + from)
      source.stop(c.currentTime + from + 1)
    }
  }
}

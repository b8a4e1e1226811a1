import { LineChart } from 'echarts/charts'
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import type { Mode } from '../../types.js'

/** Of the picture, in pixels. */
const WIDTH = 1100
const HEIGHT = 600

/** Neighbours that a smoothed value is the mean of, on each side, as a share of all steps. */
const SMOOTHING_SHARE = 0.05

/** Told apart also by those who see no red or green (Okabe and Ito). */
export const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#5d5d5d', '#b8a800']

const LINES: Readonly<Record<Mode, 'solid' | 'dashed' | 'dotted'>> = { alone: 'dashed', collaboration: 'solid', joint: 'dotted' }

export interface Curve {
  readonly trainer: string
  readonly mode: Mode
  /** One a step, in nats. */
  readonly losses: readonly number[]
}

/** Loss by step as SVG: each trainer a colour, each mode a kind of line, the raw losses faint behind the smoothed. */
export function plotLosses (curves: readonly Curve[]): string {
  use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer])
  const trainers = [...new Set(curves.map(({ trainer }) => trainer))]
  const line = ({ trainer, mode, losses }: Curve, raw: boolean): object => ({
    type: 'line',
    ...(raw ? {} : { name: `${trainer}, ${mode}` }),
    data: (raw ? losses : smooth(losses)).map((loss, step) => [step + 1, loss]),
    symbol: losses.length === 1 ? 'circle' : 'none',
    silent: true,
    lineStyle: raw ? { width: 1, opacity: 0.2 } : { width: 2, type: LINES[mode] },
    color: COLOURS[trainers.indexOf(trainer) % COLOURS.length],
    z: raw ? 1 : 2
  })
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT })
  try {
    chart.setOption({
      animation: false,
      backgroundColor: '#ffffff',
      title: { text: 'Training loss', left: 'center', top: 8 },
      legend: { orient: 'vertical', left: WIDTH - 225, top: 'middle', itemWidth: 40, itemStyle: { opacity: 0 } },
      grid: { left: 70, right: 240, top: 50, bottom: 60 },
      xAxis: { type: 'value', name: 'step', nameLocation: 'middle', nameGap: 32, min: 1, max: 'dataMax', minInterval: 1 },
      yAxis: { type: 'value', name: 'loss (nats per token)', nameLocation: 'middle', nameGap: 44, scale: true },
      series: [...curves.map(curve => line(curve, true)), ...curves.map(curve => line(curve, false))]
    })
    return chart.renderToSVGString()
  } finally {
    chart.dispose()
  }
}

/** Mean of each value and its neighbours on both sides, so that nothing is shifted. */
export function smooth (values: readonly number[]): number[] {
  const reach = Math.ceil(values.length * SMOOTHING_SHARE)
  return values.map((_, i) => {
    const near = values.slice(Math.max(0, i - reach), i + reach + 1)
    return near.reduce((sum, value) => sum + value, 0) / near.length
  })
}

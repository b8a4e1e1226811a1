import { LineChart } from 'echarts/charts'
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import { COLOURS, smooth } from '../../src/cli/simulate/plot.js'
import { lossesOf, type Row } from './compare.js'
import { statistic } from './statistics.js'

/** Of the picture, in pixels. */
const WIDTH = 1200
const HEIGHT = 650

/** What is drawn of one row: by back-propagation wide and pale, so that Gradient Learning on top of it can be seen. */
const PENS = {
  'back-propagation': { width: 7, opacity: 0.3 },
  'gradient-learning': { width: 1.5, opacity: 1 }
} as const

const LINES = { never: 'solid', after: 'dotted', during: 'dashed' } as const

/** Learning curves of one task as SVG: the mean over seeds of each method's smoothed losses, in a band of one standard deviation. */
export function learningCurves (task: string, rows: readonly Row[]): string {
  use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer])
  const colours = [...new Set(rows.map(colourKey))]
  const series = rows.flatMap(row => seriesOf(row, COLOURS[colours.indexOf(colourKey(row)) % COLOURS.length]))
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT })
  try {
    chart.setOption({
      animation: false,
      backgroundColor: '#ffffff',
      title: { text: `Training loss, ${task}`, left: 'center', top: 8 },
      legend: { orient: 'vertical', left: WIDTH - 325, top: 'middle', itemWidth: 40, itemStyle: { opacity: 0 }, data: rows.map(({ method }) => method.name) },
      grid: { left: 70, right: 340, top: 50, bottom: 60 },
      xAxis: { type: 'value', name: 'step', nameLocation: 'middle', nameGap: 32, min: 1, max: 'dataMax', minInterval: 1 },
      yAxis: { type: 'value', name: 'loss', nameLocation: 'middle', nameGap: 44, scale: true },
      series
    })
    return chart.renderToSVGString()
  } finally {
    chart.dispose()
  }
}

/** What has one colour: methods that move the same. */
function colourKey ({ method: { trained, mode } }: Row): string {
  return JSON.stringify([trained, mode])
}

/** The band is two areas on one another, of which the lower one is not seen. */
function seriesOf ({ method, runs }: Row, colour: string): object[] {
  const smoothed = runs.map(run => smooth(lossesOf(run)))
  const points = smoothed[0].map((_, step) => statistic(smoothed.map(losses => losses[step])))
  const { name, way, merge } = method
  const common = { type: 'line', symbol: points.length === 1 ? 'circle' : 'none', silent: true, color: colour }
  const band = (data: number[][], opacity: number): object => ({ ...common, data, stack: `band ${name}`, stackStrategy: 'all', lineStyle: { opacity: 0 }, areaStyle: { opacity }, z: 1 })
  const hasBand = way === 'back-propagation' && runs.length > 1 // a twin's would lie on it
  return [
    ...(hasBand
      ? [
          band(points.map(({ mean, deviation }, i) => [i + 1, mean - (deviation ?? 0)]), 0),
          band(points.map(({ deviation }, i) => [i + 1, 2 * (deviation ?? 0)]), 0.07)
        ]
      : []),
    { ...common, name, data: points.map(({ mean }, i) => [i + 1, mean]), lineStyle: { ...PENS[way], type: LINES[merge] }, z: way === 'back-propagation' ? 2 : 3 }
  ]
}

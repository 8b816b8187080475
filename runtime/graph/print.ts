import { describePlan, type Plan, type PlanEdge, type PlanOperator, type PlanStage } from './description.ts'
import type { PhysicalPlan } from './plan.ts'

/** The plan itself, for programs. */
export function planJson(plan: PhysicalPlan, more: object = {}): string {
  return JSON.stringify({ ...describePlan(plan), ...more }, undefined, 2)
}

/** The stages for people: their operators, keys, parallelism, and why each shuffle is there. */
export function planText(physical: PhysicalPlan): string {
  const plan = describePlan(physical)
  const sources = plan.stages.filter(stage => stage.kind === 'source').length
  const lines = [
    `pipeline ${plan.pipeline}: ${plural(plan.stages.length, 'stage')} (${plural(sources, 'source')}), ${plural(plan.shuffles, 'shuffle')}, ${plan.keyGroups} key groups`,
  ]
  plan.stages.forEach((stage, i) => {
    lines.push(
      '',
      `${i + 1}. ${stage.id}  ${stage.parallelism === 'splits' ? 'a subtask per split' : plural(stage.parallelism, 'subtask')}`,
    )
    for (const edge of plan.edges.filter(e => e.to.stage === stage.id)) lines.push(`   < ${edgeText(edge)}`)
    for (const operator of stage.operators) {
      lines.push(`   ${operatorText(operator)}`)
      for (const none of plan.elided.filter(e => e.operator === operator.id)) {
        lines.push(`     keyBy ${none.key} costs no shuffle: ${none.reason}`)
      }
    }
  })
  return `${lines.join('\n')}\n`
}

/** A drawing in Mermaid's language. */
export function planMermaid(physical: PhysicalPlan): string {
  const plan = describePlan(physical)
  const lines = ['flowchart LR']
  const boxes = new Map<string, string>()
  plan.stages.forEach((stage, i) => {
    lines.push(`  subgraph s${i}["${quote(stageTitle(stage))}"]`)
    stage.operators.forEach((operator, j) => {
      boxes.set(`${stage.id}/${operator.id}`, `s${i}o${j}`)
      lines.push(`    s${i}o${j}["${quote(operatorTitle(operator))}"]`)
    })
    lines.push('  end')
  })
  for (const [from, to, label] of insideEdges(plan)) {
    lines.push(`  ${boxes.get(from)} -->${label === '' ? '' : `|"${quote(label)}"|`} ${boxes.get(to)}`)
  }
  for (const edge of plan.edges) {
    const from = boxes.get(`${edge.from.stage}/${edge.from.operator}`)
    for (const { id } of edge.to.operators) {
      lines.push(`  ${from} ==>|"${quote(exchangeText(edge))}"| ${boxes.get(`${edge.to.stage}/${id}`)}`)
    }
  }
  return `${lines.join('\n')}\n`
}

function insideEdges(plan: Plan): [from: string, to: string, label: string][] {
  return plan.stages.flatMap(stage => {
    const here = new Set(stage.operators.map(o => o.id))
    return stage.operators.flatMap(operator =>
      operator.inputs.flat().flatMap((input): [string, string, string][] => {
        const [from, tag = ''] = input.split(':') as [string, string?]
        return here.has(from) ? [[`${stage.id}/${from}`, `${stage.id}/${operator.id}`, tag]] : []
      }),
    )
  })
}

function stageTitle(stage: PlanStage): string {
  return `${stage.id} × ${stage.parallelism}`
}

function operatorTitle(operator: PlanOperator): string {
  const title = operator.name === operator.type ? operator.type : `${operator.type} ${operator.name}`
  return operator.detail === undefined ? title : `${title}: ${operator.detail}`
}

function operatorText(operator: PlanOperator): string {
  const key = operator.key === undefined ? '' : `  key ${operator.key}`
  return `${operatorTitle(operator)}${key}  [${operator.id}]`
}

function edgeText(edge: PlanEdge): string {
  const output = edge.from.output === 'out' ? '' : ` (${edge.from.output})`
  return `${edge.from.operator}${output}, ${edge.reason}${fieldsText(edge.fields)}`
}

/** What is known not to be needed later stays behind. */
function fieldsText(fields: readonly string[] | undefined): string {
  if (fields === undefined) return ''
  if (fields.length === 0) return ' (of the records, only timestamp and key travel)'
  return ` (of the records, only the ${fields.length === 1 ? 'field' : 'fields'} ${fields.join(', ')} ${fields.length === 1 ? 'travels' : 'travel'})`
}

function exchangeText(edge: PlanEdge): string {
  return edge.exchange === 'key' ? `by ${edge.key}` : edge.exchange
}

function plural(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? '' : 's'}`
}

/** Mermaid takes HTML's entities in quoted labels. */
function quote(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/"/g, '&quot;').replace(/</g, '&lt;').replace(/>/g, '&gt;')
}

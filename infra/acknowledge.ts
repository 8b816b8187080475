import { Stack, Validations } from 'aws-cdk-lib'
import type { IConstruct } from 'constructs'

/** Says why a rule of cdk-nag does not hold here. Only where it is said: the rule stays in force for everything else. */
export function acknowledge(construct: IConstruct, reasons: Readonly<Record<string, string>>): void {
  Validations.of(construct).acknowledge(...Object.entries(reasons).map(([id, reason]) => ({ id, reason })))
}

/** Says why a role may have a right on this ARN, which ends in `*`; it still may not on any other. */
export function acknowledgeWildcard(role: IConstruct, arn: string, reason: string): void {
  acknowledge(role, { [`AwsSolutions-IAM5[Resource::${flat(Stack.of(role).resolve(arn))}]`]: reason })
}

/** As cdk-nag writes ARNs that are known at deployment only. */
function flat(arn: unknown): string {
  if (typeof arn === 'string') return arn
  const {
    Ref,
    'Fn::GetAtt': attribute,
    'Fn::Join': join,
  } = arn as { Ref?: string; 'Fn::GetAtt'?: readonly string[]; 'Fn::Join'?: readonly [string, readonly unknown[]] }
  if (Ref !== undefined) return `<${Ref}>`
  if (attribute !== undefined) return `<${attribute.join('.')}>`
  return join === undefined ? JSON.stringify(arn) : join[1].map(flat).join(join[0])
}

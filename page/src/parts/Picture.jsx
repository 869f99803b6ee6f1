/** The picture of the fault: deployment and workers against the State Manager's state over time. */
export function Picture({ picture }) {
  if (!picture) return null;
  return null;
}

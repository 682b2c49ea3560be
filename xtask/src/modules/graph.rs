//! Cycles in a graph whose nodes are numbers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The nodes that one node leads to.
fn next(edges: &[(usize, usize)], from: usize) -> impl Iterator<Item = usize> + '_ {
    edges.iter().filter(move |edge| edge.0 == from).map(|edge| edge.1)
}

/// All nodes that can be reached from one, itself only if it is on a cycle.
fn reachable(edges: &[(usize, usize)], from: usize) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<usize> = next(edges, from).collect();
    while let Some(node) = open.pop() {
        if seen.insert(node) {
            open.extend(next(edges, node));
        }
    }
    seen
}

/// The groups of nodes that all lead to each other. Nodes on no cycle are in none.
pub fn cycles(edges: &[(usize, usize)]) -> Vec<BTreeSet<usize>> {
    let nodes: BTreeSet<usize> = edges.iter().map(|edge| edge.0).collect();
    let reach: BTreeMap<usize, BTreeSet<usize>> =
        nodes.iter().map(|node| (*node, reachable(edges, *node))).collect();
    let leads = |from: usize, to: usize| reach.get(&from).is_some_and(|reach| reach.contains(&to));
    let groups: BTreeSet<BTreeSet<usize>> = nodes
        .iter()
        .filter(|node| leads(**node, **node))
        .map(|node| {
            nodes.iter().copied().filter(|other| leads(*node, *other) && leads(*other, *node)).collect()
        })
        .collect();
    groups.into_iter().collect()
}

/// The shortest cycle among the nodes of a group, each node once.
pub fn shortest_cycle(group: &BTreeSet<usize>, edges: &[(usize, usize)]) -> Vec<usize> {
    let all = group.iter().filter_map(|node| shortest_way_back(*node, edges));
    all.min_by_key(Vec::len).unwrap_or_default()
}

/// The shortest way from a node to itself: breadth first, with where each node was reached from.
fn shortest_way_back(start: usize, edges: &[(usize, usize)]) -> Option<Vec<usize>> {
    let mut came_from = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(node) = open.pop_front() {
        for to in next(edges, node) {
            if to == start {
                let back = std::iter::successors(Some(node), |node| came_from.get(node).copied());
                let mut way: Vec<usize> = back.collect();
                way.reverse();
                return Some(way);
            }
            if let std::collections::btree_map::Entry::Vacant(slot) = came_from.entry(to) {
                slot.insert(node);
                open.push_back(to);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_group_and_its_shortest_cycle() {
        // 0 → 1 → 2 → 0, with a shorter way round by 1 → 0; 3 ⇄ 4; 5 leads into both and is in neither.
        let edges = [(0, 1), (1, 2), (2, 0), (1, 0), (3, 4), (4, 3), (5, 0), (5, 3)];
        let groups = cycles(&edges);
        assert_eq!(groups, [BTreeSet::from([0, 1, 2]), BTreeSet::from([3, 4])]);
        assert_eq!(shortest_cycle(&groups[0], &edges), [0, 1]);
        assert_eq!(shortest_cycle(&groups[1], &edges), [3, 4]);
    }

    #[test]
    fn a_diamond_is_no_cycle() {
        assert!(cycles(&[(0, 1), (0, 2), (1, 3), (2, 3)]).is_empty());
    }
}

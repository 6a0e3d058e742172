"""Read the trees of Spark ML's random forest out of the driver's JVM.

No files: what Spark ML saves is written by the workers, so it would have to go to storage that the
JVM reaches, and a blob store that foveate reads through fsspec need not be that.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from foveate.heads.trees import Tree, TreeForest


def read_trees(model: Any) -> TreeForest:
    """The trees of a fitted `RandomForestClassificationModel`.

    Spark lists the nodes of a tree, from the root down, as it does to save them (NodeData in its
    ml/tree/treeModels.scala), and Jackson writes the list as text: two calls to the JVM a tree.
    Spark's probabilities are the mean over the trees of what `Tree.of` makes of the weights of
    the rows in a leaf (`predictRaw` of that model).
    """
    from pyspark import SparkContext

    jvm: Any = SparkContext._active_spark_context._jvm  # type: ignore[union-attr]
    node_data = getattr(jvm.org.apache.spark.ml.tree, "DecisionTreeModelReadWrite$NodeData$")
    lister = getattr(node_data, "MODULE$")
    annotation = jvm.com.fasterxml.jackson.annotation
    reach, visible = annotation.PropertyAccessor, getattr(annotation, "JsonAutoDetect$Visibility")
    writer = jvm.com.fasterxml.jackson.databind.ObjectMapper()
    writer.setVisibility(reach.ALL, visible.NONE)  # its getters fail in leaves
    writer.setVisibility(reach.FIELD, visible.ANY)
    as_list = jvm.scala.jdk.javaapi.CollectionConverters.asJava
    trees = []
    for tree in model._java_obj.trees():
        nodes = as_list(lister.build(tree.rootNode(), 0)._1())
        trees.append(parse_tree(writer.writeValueAsString(nodes)))
    return TreeForest(tuple(trees))


def parse_tree(text: str) -> Tree:
    """A tree from the JSON of its NodeData, whose ids count from 0 at the root.

    Raises:
        ValueError: a node compares a category instead of a number, or the nodes are no tree.
    """
    nodes = sorted(json.loads(text), key=lambda node: int(node["id"]))
    if [node["id"] for node in nodes] != list(range(len(nodes))):
        raise ValueError("the nodes of a tree are numbered from 0")
    splits = [node["split"] for node in nodes]
    inner = [node["leftChild"] >= 0 for node in nodes]
    if any(one["numCategories"] != -1 for one, split in zip(splits, inner, strict=True) if split):
        raise ValueError("foveate's features are numbers, but a node compares a category")
    thresholds = [
        split["leftCategoriesOrThreshold"][0] if goes_on else 0.0
        for split, goes_on in zip(splits, inner, strict=True)
    ]
    return Tree.of(
        np.array([node["leftChild"] for node in nodes]),
        np.array([node["rightChild"] for node in nodes]),
        np.array([split["featureIndex"] for split in splits]),
        np.array(thresholds, np.float64),
        np.array([node["impurityStats"] for node in nodes], np.float64),
    )
